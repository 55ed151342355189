"""The English inflection that requests and substitutions need."""

import re

_IRREGULAR = {
    "mouse": "mice",
    "fish": "fish",
    "sheep": "sheep",
    "deer": "deer",
    "wolf": "wolves",
    "child": "children",
    "goose": "geese",
    "leaf": "leaves",
    "elf": "elves",
    "man": "men",
    "woman": "women",
    "fireman": "firemen",
    "policeman": "policemen",
    "snowman": "snowmen",
    "superman": "supermen",
    "knife": "knives",
    "thief": "thieves",
    "dwarf": "dwarves",
    "scarf": "scarves",
    "piano": "pianos",
    "volcano": "volcanoes",
    "potato": "potatoes",
    "tomato": "tomatoes",
}


def plural(noun: str) -> str:
    """Returns the plural of a singular noun."""
    if noun in _IRREGULAR:
        return _IRREGULAR[noun]
    if re.search(r"(s|x|z|ch|sh)$", noun):
        return noun + "es"
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + "s"


def article(phrase: str) -> str:
    """Returns "a" or "an", depending on the start of the phrase."""
    return "an" if phrase[0].lower() in "aeiou" and not re.match(r"(?i)uni|use|one", phrase) else "a"


def indefinite(phrase: str) -> str:
    """Returns the phrase with "a" or "an", unless it is a plural."""
    is_plural = re.search(r"[^s]s$", phrase) and not phrase.endswith(("bus", "octopus", "circus", "cyclops", "walrus"))
    return phrase if is_plural else f"{article(phrase)} {phrase}"


def mentions(noun: str) -> re.Pattern[str]:
    """Returns a pattern that matches the noun or its plural as a whole word, in any letter case."""
    return re.compile(rf"\b(?:{re.escape(plural(noun))}|{re.escape(noun)})\b", re.IGNORECASE)
