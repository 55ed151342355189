"""Creates training rows: complete conversations of at most 512 tokens, with a loss weight per token."""

import collections
import dataclasses
import random
from collections.abc import Iterator, Sequence

from corpus import ASSISTANT, END, ENDOFTEXT, USER
from llama import STORIES
from phrasing import first_request, next_request
from subjects import SubjectFinder
from tokenizers import Tokenizer
from wishes import Wish, vary
from words import mentions

CONTEXT = STORIES.max_position_embeddings
PLAIN_SHARE = 0.06
"""Share of first requests that name no subject although their story has one."""
FIRST_MENTION, REQUEST = 3.0, 0.3
"""Loss weights of a subject's first mention in its story, and of the request. Not 0, because the held-out loss includes it."""


@dataclasses.dataclass(frozen=True)
class Story:
    """A story, and the wish that it fulfils. The wish of a story of the corpus is unknown."""

    text: str
    wish: Wish | None = None


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

    def __init__(self, tokenizer: Tokenizer, finder: SubjectFinder):
        self.tokenizer, self.finder = tokenizer, finder

    def rows(self, stories: Sequence[Story], rng: random.Random) -> Iterator[Row]:
        """Yields the rows of one pass over the stories, in random order.

        A row contains a single story, with or without a request, a conversation, or several unrelated stories.
        """
        about = collections.defaultdict(list)
        for story in stories:
            if story.wish:
                about[story.wish.subjects[0]].append(story)
        remaining = iter(rng.sample(stories, len(stories)))
        for story in remaining:
            form = rng.random()
            row, subject = (self._raw(story.text), None) if form < 0.06 else self._first_turn(story, rng)
            if len(row) > CONTEXT:
                continue
            if form >= 0.5:
                # Add stories while they fit. The first story that does not fit becomes a new row.
                is_conversation = form >= 0.65
                for following in remaining:
                    if is_conversation:
                        turn, subject = self._next_turn(following, subject, about, rng)
                    else:
                        turn = self._raw(following.text) if rng.random() < 0.3 else self._first_turn(following, rng)[0]
                    if len(row) + len(turn) > CONTEXT:
                        yield row
                        row = turn if len(turn) <= CONTEXT else Row([], [])
                        break
                    row = row + turn
            if len(row) > 0:
                yield row

    def _raw(self, text: str) -> Row:
        ids = [ENDOFTEXT, *self._encode(text), ENDOFTEXT]
        return Row(ids, [REQUEST] + [1.0] * (len(ids) - 1))

    def _wish(self, story: Story, rng: random.Random) -> Wish | None:
        return story.wish or self.finder.guess(story.text, rng)

    def _first_turn(self, story: Story, rng: random.Random) -> tuple[Row, str | None]:
        """Returns the turn and the requested subject."""
        wish = self._wish(story, rng)
        if wish is None or rng.random() < PLAIN_SHARE:
            return self._turn(first_request(None, rng), story.text, None), None
        return self._turn(first_request(vary(wish, rng), rng), story.text, wish), wish.subjects[0]

    def _next_turn(
        self, story: Story, subject: str | None, about: dict[str, list[Story]], rng: random.Random
    ) -> tuple[Row, str | None]:
        """Returns the turn and the requested subject. `subject` is the one of the previous turn."""
        chance = rng.random()
        if subject is not None and chance < 0.2 and len(about.get(subject, [])) > 1:
            # Another story about the same subject.
            same = rng.choice(about[subject])
            phrase = None if rng.random() < 0.5 else vary(same.wish, rng)
            return self._turn(next_request(phrase, True, rng), same.text, same.wish), subject
        wish = self._wish(story, rng)
        if wish is None or chance > 0.85:
            return self._turn(next_request(None, False, rng), story.text, None), None
        return self._turn(next_request(vary(wish, rng), False, rng), story.text, wish), wish.subjects[0]

    def _turn(self, request: str, text: str, wish: Wish | None) -> Row:
        """Returns a request and its story. The first mention of each subject of the wish has a higher weight."""
        request_ids = [USER, *self._encode(request), END]
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        weights = [1.0] * len(encoding.ids)
        for subject in wish.subjects if wish else ():
            mention = mentions(subject).search(text)
            if mention is None:
                continue
            start, end = mention.span()
            for index, (left, right) in enumerate(encoding.offsets):
                if left >= end:
                    break
                if right > start:
                    weights[index] = FIRST_MENTION
        ids = [*request_ids, ASSISTANT, *encoding.ids, END]
        return Row(ids, [REQUEST] * (len(request_ids) + 1) + weights + [1.0])

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids
