"""Finds the subjects of a story and the phrases that users would request them with."""

import collections
import dataclasses
import random
import re

from substitution import are_exchangeable, rename, replacement, substitute
from words import article, mentions, plural

_BEGINNING = 220
"""The length in characters of the part of a story that introduces its subjects."""
_NAMED = r"(?:named|called|name was|name is)"
# Nouns that occur in many stories but are rarely the subject.
_GENERIC = frozenset(
    "friend mom mommy mum dad daddy park house kid family man woman lady animal water room town garden food forest"
    " child parent people sky store yard sun toy girl boy hole door night morning home story".split()
)
_PLURAL_ONLY = re.compile(r"[^s]s$")


@dataclasses.dataclass(frozen=True)
class Retelling:
    """A story and its subjects, the requested one first.

    Subjects are singular nouns, or plural nouns whose singular is not a noun of the corpus.
    """

    text: str
    subjects: tuple[str, ...]


class SubjectFinder:
    """Finds subjects with the nouns and adjectives of `find_nouns`."""

    def __init__(self, nouns: collections.Counter, adjectives: frozenset[str]):
        self.nouns, self.adjectives = nouns, adjectives
        self.singular_of = {plural(noun): noun for noun in nouns}

    def subjects(self, story: str) -> list[str]:
        """Returns up to 4 nouns that occur in the beginning and at least twice in the story.

        The first is the most frequent in the story, relative to its frequency in the corpus.
        """
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
        """Returns a phrase for the subject, with or without an article, adjective, name or second subject."""
        first = self._describe(retelling, retelling.subjects[0], rng)
        if len(retelling.subjects) > 1 and rng.random() < 0.3:
            link = rng.choice(["and", "and", "and", "with", "who finds", "who loves", "who has", "and her", "and his"])
            second = retelling.subjects[1]
            return f"{first} {link} {second if link in ('and her', 'and his') else _indefinite(second)}"
        return first

    def _describe(self, retelling: Retelling, subject: str, rng: random.Random) -> str:
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
        """Returns the story with its subjects, or None if it has no subject.

        Replaces a name with the probability `substitution_share`, and independently a subject.
        """
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
        """Returns the story with `subject` as the first subject, replacing one of its subjects if necessary.

        Returns None if the story has no subject that can be replaced by it.
        """
        for index, current in enumerate(subjects := self.subjects(story)):
            others = tuple(other for position, other in enumerate(subjects) if position != index)
            if current == subject:
                return Retelling(story, (current, *others))
            if are_exchangeable(current, subject) and not mentions(subject).search(story):
                return Retelling(substitute(story, current, subject), (subject, *others))
        return None

    def mention_spans(self, retelling: Retelling) -> list[tuple[int, int]]:
        """Returns the character ranges of the first subject in the story."""
        return [match.span() for match in mentions(retelling.subjects[0]).finditer(retelling.text)]


def _indefinite(noun: str) -> str:
    return noun if _PLURAL_ONLY.search(noun) else f"{article(noun)} {noun}"
