"""The stories, the split into held-out and training stories, and the control tokens of the tokenizer."""

import random
from pathlib import Path

ENDOFTEXT, USER, ASSISTANT, END = 0, 1, 2, 3
HELD_OUT_COUNT = 250


def read_stories(path: Path) -> list[str]:
    """Returns all stories in the shuffled order of version 1. The first 250 are held out in every version."""
    return read_stories_with(random.Random(7), path)


def read_stories_with(rng: random.Random, path: Path) -> list[str]:
    """Returns all stories, shuffled with `rng`. held_out.py uses the resulting state of `rng` for its requests."""
    stories = [story.strip() for story in path.read_text().split("<|endoftext|>") if story.strip()]
    rng.shuffle(stories)
    return stories


def training_stories(stories: list[str]) -> list[str]:
    """Returns the stories that are not held out."""
    return stories[HELD_OUT_COUNT:]
