"""A story, what it is about, and the phrase that a visitor would use for that."""

import collections
import dataclasses
import random
import re

from substitution import are_exchangeable, rename, replacement, substitute
from words import article, mentions, plural

_BEGINNING = 220
_NAMED = r"(?:named|called|name was|name is)"
# In nearly every story, and seldom what it is about.
_GENERIC = frozenset(
    "friend mom mommy mum dad daddy park house kid family man woman lady animal water room town garden food forest"
    " child parent people sky store yard sun toy girl boy hole door night morning home story".split()
)
_PLURAL_ONLY = re.compile(r"[^s]s$")


@dataclasses.dataclass(frozen=True)
class Retelling:
    """A story and its subjects, the main one first: nouns in the singular, or plural nouns of the corpus."""

    text: str
    subjects: tuple[str, ...]


class SubjectFinder:
    def __init__(self, nouns: collections.Counter, adjectives: frozenset[str]):
        self.nouns, self.adjectives = nouns, adjectives
        self.singular_of = {plural(noun): noun for noun in nouns}

    def subjects(self, story: str) -> list[str]:
        """Nouns of the beginning that return, the most telling first."""
        beginning = re.findall(r"\b[a-z]{3,}\b", story[:_BEGINNING])
        counts = collections.Counter(self._singular(word) for word in re.findall(r"\b[a-z]{3,}\b", story.lower()))
        candidates = dict.fromkeys(self._singular(word) for word in beginning)
        found = [noun for noun in candidates if noun in self.nouns and counts[noun] >= 2]

        def weight(noun: str) -> float:
            return counts[noun] / self.nouns[noun] ** 0.35 * (0.3 if noun in _GENERIC else 1)

        return sorted(found, key=weight, reverse=True)[:4]

    def _singular(self, word: str) -> str:
        return self.singular_of.get(word, word)

    def phrase(self, retelling: Retelling, rng: random.Random) -> str:
        """The subject in a visitor's words: with or without article, adjective, name, or a second subject."""
        first = self._described(retelling, retelling.subjects[0], rng)
        if len(retelling.subjects) > 1 and rng.random() < 0.3:
            joint = rng.choice(["and", "and", "and", "with", "who finds", "who loves", "who has", "and her", "and his"])
            second = retelling.subjects[1]
            return f"{first} {joint} {second if joint in ('and her', 'and his') else _indefinite(second)}"
        return first

    def _described(self, retelling: Retelling, subject: str, rng: random.Random) -> str:
        text = retelling.text
        named = re.search(rf"\b{re.escape(subject)},? (?:\w+ )?{_NAMED} ([A-Z][a-z]+)", text)
        if named and rng.random() < 0.4:
            return f"{_indefinite(subject)} {rng.choice(['named', 'named', 'called'])} {named.group(1)}"
        adjective = re.search(rf"\b([a-z]+) {re.escape(subject)}\b", text)
        if adjective and adjective.group(1) in self.adjectives and rng.random() < 0.25:
            return f"{article(adjective.group(1))} {adjective.group(1)} {subject}"
        return rng.choices(
            [_indefinite(subject), f"the {subject}", plural(subject), subject, subject.capitalize()],
            weights=[75, 8, 8, 6, 3],
        )[0]

    def retell(self, story: str, rng: random.Random, substitution_share: float) -> Retelling | None:
        """The story with its subjects; sometimes with a subject exchanged. None if no subject stands out."""
        subjects = self.subjects(story)
        if not subjects:
            return None
        if rng.random() < 0.2:
            rng.shuffle(subjects)
        name = re.search(rf"\b{_NAMED} ([A-Z][a-z]+)", story)
        if name and rng.random() < substitution_share:
            story = rename(story, name.group(1), rng)
        if rng.random() < substitution_share:
            for index, subject in enumerate(subjects):
                new = replacement(subject, story, rng)
                if new:
                    story = substitute(story, subject, new)
                    others = [other for position, other in enumerate(subjects) if position != index]
                    return Retelling(story, (new, *others))
        return Retelling(story, tuple(subjects))

    def retell_about(self, story: str, subject: str) -> Retelling | None:
        """The story told of this subject; None if it cannot be."""
        for index, own in enumerate(subjects := self.subjects(story)):
            others = tuple(other for position, other in enumerate(subjects) if position != index)
            if own == subject:
                return Retelling(story, (own, *others))
            if are_exchangeable(own, subject) and not mentions(subject).search(story):
                return Retelling(substitute(story, own, subject), (subject, *others))
        return None

    def mention_spans(self, retelling: Retelling) -> list[tuple[int, int]]:
        return [match.span() for match in mentions(retelling.subjects[0]).finditer(retelling.text)]


def _indefinite(noun: str) -> str:
    return noun if _PLURAL_ONLY.search(noun) else f"{article(noun)} {noun}"
