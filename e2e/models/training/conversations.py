"""Training rows: whole conversations of at most 512 tokens, each token with its weight in the loss."""

import dataclasses
import random
from collections.abc import Iterator

from corpus import ASSISTANT, END, ENDOFTEXT, USER
from llama import CONTEXT
from phrasing import first_request, next_request
from retelling import Retelling, SubjectFinder
from tokenizers import Tokenizer

PLAIN_SHARE = 0.06


@dataclasses.dataclass(frozen=True)
class Emphasis:
    """What the samples insist on."""

    substitution_share: float
    """Of the stories, how many are retold of something else."""
    first_mention: float
    """Weight in the loss of the subject's first mention."""
    later_mentions: float
    request: float
    """Weight of the visitor's words: the held-out loss covers them."""


@dataclasses.dataclass
class Row:
    """Token ids, and for each the weight of predicting it."""

    ids: list[int]
    weights: list[float]

    def __add__(self, other: "Row") -> "Row":
        return Row(self.ids + other.ids, self.weights + other.weights)

    def __len__(self) -> int:
        return len(self.ids)


class ConversationMaker:
    def __init__(self, tokenizer: Tokenizer, finder: SubjectFinder, emphasis: Emphasis):
        self.tokenizer, self.finder, self.emphasis = tokenizer, finder, emphasis

    def rows(self, stories: list[str], rng: random.Random) -> Iterator[Row]:
        """One pass over the stories in random order: single requests, conversations, and unrelated neighbours."""
        order = rng.sample(stories, len(stories))
        waiting = iter(order)
        for story in waiting:
            form = rng.random()
            retelling = self.finder.retell(story, rng, self.emphasis.substitution_share)
            if form < 0.1:
                row = self._raw(story)
            else:
                row, asked = self._first_turn(story, retelling, rng)
            if len(row) > CONTEXT:
                continue
            if form >= 0.6:
                # Continues while stories fit; the first that does not fit starts a row of its own.
                is_conversation = form >= 0.78
                for following in waiting:
                    if is_conversation:
                        turn, asked = self._next_turn(following, asked, rng)
                    elif rng.random() < 0.5:
                        turn = self._raw(following)
                    else:
                        retelling = self.finder.retell(following, rng, self.emphasis.substitution_share)
                        turn, _ = self._first_turn(following, retelling, rng)
                    if len(row) + len(turn) > CONTEXT:
                        yield row
                        row = turn if len(turn) <= CONTEXT else Row([], [])
                        break
                    row = row + turn
            if len(row) > 0:
                yield row

    def _raw(self, story: str) -> Row:
        ids = [ENDOFTEXT, *self._encode(story), ENDOFTEXT]
        return Row(ids, [self.emphasis.request] + [1.0] * (len(ids) - 1))

    def _first_turn(self, story: str, retelling: Retelling | None, rng: random.Random) -> tuple[Row, str | None]:
        if retelling is None or rng.random() < PLAIN_SHARE:
            return self._turn(first_request(None, rng), story, []), None
        request = first_request(self.finder.phrase(retelling, rng), rng)
        return self._told(request, retelling), retelling.subjects[0]

    def _next_turn(self, story: str, asked: str | None, rng: random.Random) -> tuple[Row, str | None]:
        chance = rng.random()
        if asked is not None and chance < 0.3:
            # "Another one": of the same subject, where this story can be told of it.
            same = self.finder.retell_about(story, asked)
            if same is not None:
                phrase = None if rng.random() < 0.5 else self.finder.phrase(same, rng)
                return self._told(next_request(phrase, True, rng), same), asked
        retelling = self.finder.retell(story, rng, self.emphasis.substitution_share)
        if retelling is None or chance > 0.85:
            return self._turn(next_request(None, False, rng), story, []), None
        request = next_request(self.finder.phrase(retelling, rng), False, rng)
        return self._told(request, retelling), retelling.subjects[0]

    def _told(self, request: str, retelling: Retelling) -> Row:
        return self._turn(request, retelling.text, self.finder.mention_spans(retelling))

    def _turn(self, request: str, story: str, mention_spans: list[tuple[int, int]]) -> Row:
        asked = [USER, *self._encode(request), END]
        encoding = self.tokenizer.encode(story, add_special_tokens=False)
        offsets, weights = encoding.offsets, [1.0] * len(encoding.ids)
        position = 0
        for index, (start, end) in enumerate(mention_spans):
            weight = self.emphasis.first_mention if index == 0 else self.emphasis.later_mentions
            while position < len(weights) and offsets[position][0] < end:
                if offsets[position][1] > start:
                    weights[position] = weight
                position += 1
        ids = [*asked, ASSISTANT, *encoding.ids, END]
        return Row(ids, [self.emphasis.request] * (len(asked) + 1) + weights + [1.0])

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids
