"""Finds the subjects of a story of the corpus, and phrases that users would request it with."""

import collections
import random
import re

from wishes import Wish
from words import article, indefinite, plural

_BEGINNING = 220
"""The length in characters of the part of a story that introduces its subjects."""
_NAMED = r"(?:named|called|name was|name is)"
# Nouns that occur in many stories but are rarely the subject.
_GENERIC = frozenset(
    "friend mom mommy mum dad daddy park house kid family man woman lady animal water room town garden food forest"
    " child parent people sky store yard sun toy girl boy hole door night morning home story".split()
)


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

    def guess(self, story: str, rng: random.Random) -> Wish | None:
        """Returns a wish that the story fulfils, or None if the story has no subject."""
        subjects = self.subjects(story)
        if not subjects:
            return None
        if rng.random() < 0.2:
            rng.shuffle(subjects)
        first = self._describe(story, subjects[0], rng)
        if len(subjects) > 1 and rng.random() < 0.3:
            link = rng.choice(["and", "and", "and", "with", "who finds", "who has"])
            return Wish(f"{first} {link} {indefinite(subjects[1])}", tuple(subjects[:2]))
        return Wish(first, (subjects[0],))

    def _describe(self, story: str, subject: str, rng: random.Random) -> str:
        named = re.search(rf"\b{re.escape(subject)},? (?:\w+ )?{_NAMED} ([A-Z][a-z]+)", story)
        if named and rng.random() < 0.4:
            return f"{indefinite(subject)} {rng.choice(['named', 'named', 'called'])} {named.group(1)}"
        adjective = re.search(rf"\b([a-z]+) {re.escape(subject)}\b", story)
        if adjective and adjective.group(1) in self.adjectives and rng.random() < 0.25:
            return f"{article(adjective.group(1))} {adjective.group(1)} {subject}"
        return indefinite(subject)
