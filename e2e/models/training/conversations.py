"""Creates training rows: complete conversations of at most 512 tokens, with a loss weight per token."""

import dataclasses
import random
from collections.abc import Iterator

from corpus import ASSISTANT, END, ENDOFTEXT, USER
from llama import CONTEXT
from phrasing import first_request, next_request
from retelling import Retelling, SubjectFinder
from tokenizers import Tokenizer

PLAIN_SHARE = 0.06
"""Share of first requests that name no subject although their story has one."""


@dataclasses.dataclass(frozen=True)
class Emphasis:
    """Shares and loss weights that make the model write about the requested subject."""

    substitution_share: float
    """Probability (0 to 1) that a name, and that a subject, of a story is replaced."""
    first_mention: float
    """Loss weight of the first mention of the subject."""
    later_mentions: float
    """Loss weight of each later mention of the subject."""
    request: float
    """Loss weight of the tokens of the request. Not 0, because the held-out loss includes them."""


@dataclasses.dataclass
class Row:
    """Token ids, and the loss weight of each."""

    ids: list[int]
    weights: list[float]

    def __add__(self, other: "Row") -> "Row":
        return Row(self.ids + other.ids, self.weights + other.weights)

    def __len__(self) -> int:
        return len(self.ids)


class ConversationMaker:
    """Combines stories with requests for them."""

    def __init__(self, tokenizer: Tokenizer, finder: SubjectFinder, emphasis: Emphasis):
        self.tokenizer, self.finder, self.emphasis = tokenizer, finder, emphasis

    def rows(self, stories: list[str], rng: random.Random) -> Iterator[Row]:
        """Yields the rows of one pass over the stories, in random order.

        A row contains a single story, with or without a request, a conversation, or several unrelated stories.
        """
        order = rng.sample(stories, len(stories))
        remaining = iter(order)
        for story in remaining:
            form = rng.random()
            retelling = self.finder.retell(story, rng, self.emphasis.substitution_share)
            if form < 0.1:
                row = self._raw(story)
            else:
                row, subject = self._first_turn(story, retelling, rng)
            if len(row) > CONTEXT:
                continue
            if form >= 0.6:
                # Add stories while they fit. The first story that does not fit becomes a new row.
                is_conversation = form >= 0.78
                for following in remaining:
                    if is_conversation:
                        turn, subject = self._next_turn(following, subject, rng)
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
        """Returns the turn and the requested subject."""
        if retelling is None or rng.random() < PLAIN_SHARE:
            return self._turn(first_request(None, rng), story, []), None
        request = first_request(self.finder.phrase(retelling, rng), rng)
        return self._turn_about(request, retelling), retelling.subjects[0]

    def _next_turn(self, story: str, subject: str | None, rng: random.Random) -> tuple[Row, str | None]:
        """Returns the turn and the requested subject. `subject` is the one of the previous turn."""
        chance = rng.random()
        if subject is not None and chance < 0.3:
            # Request another story about the same subject, if this story can be about it.
            same = self.finder.retell_about(story, subject)
            if same is not None:
                phrase = None if rng.random() < 0.5 else self.finder.phrase(same, rng)
                return self._turn_about(next_request(phrase, True, rng), same), subject
        retelling = self.finder.retell(story, rng, self.emphasis.substitution_share)
        if retelling is None or chance > 0.85:
            return self._turn(next_request(None, False, rng), story, []), None
        request = next_request(self.finder.phrase(retelling, rng), False, rng)
        return self._turn_about(request, retelling), retelling.subjects[0]

    def _turn_about(self, request: str, retelling: Retelling) -> Row:
        return self._turn(request, retelling.text, self.finder.mention_spans(retelling))

    def _turn(self, request: str, story: str, mention_spans: list[tuple[int, int]]) -> Row:
        """Returns a request and its story. `mention_spans` are the character ranges of the subject in the story."""
        request_ids = [USER, *self._encode(request), END]
        encoding = self.tokenizer.encode(story, add_special_tokens=False)
        offsets, weights = encoding.offsets, [1.0] * len(encoding.ids)
        position = 0
        for index, (start, end) in enumerate(mention_spans):
            weight = self.emphasis.first_mention if index == 0 else self.emphasis.later_mentions
            while position < len(weights) and offsets[position][0] < end:
                if offsets[position][1] > start:
                    weights[position] = weight
                position += 1
        ids = [*request_ids, ASSISTANT, *encoding.ids, END]
        return Row(ids, [self.emphasis.request] * (len(request_ids) + 1) + weights + [1.0])

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids
