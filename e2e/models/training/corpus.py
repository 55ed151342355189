"""The stories, their split, and the tokenizer's control tokens."""

import random
from pathlib import Path

ENDOFTEXT, USER, ASSISTANT, END = 0, 1, 2, 3
HELD_OUT_COUNT = 250


def read_stories(path: Path) -> list[str]:
    """All stories in the shuffled order of version 1: the first 250 are held out, in every version."""
    return read_stories_with(random.Random(7), path)


def read_stories_with(rng: random.Random, path: Path) -> list[str]:
    stories = [story.strip() for story in path.read_text().split("<|endoftext|>") if story.strip()]
    rng.shuffle(stories)
    return stories


def training_stories(stories: list[str]) -> list[str]:
    return stories[HELD_OUT_COUNT:]
