"""The held-out loss, measured as for version 1: requests and stories mixed, rows of 512, every token counts.

The requests are made the way version 1 made them, from the same random state, so that losses compare.
"""

import collections
import random
import re
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import ASSISTANT, END, ENDOFTEXT, HELD_OUT_COUNT, USER
from tokenizers import Tokenizer

CONTEXT, ROWS = 512, 32

_WORD = re.compile(r"(?<![A-Za-z'])[a-z]{3,}(?![A-Za-z'])")
_COMMON = set(
    "the a an and to was he she it they his her their of in on with that had for but said so at is you were very not him"
    " them be up then there one day time once upon all as i my me we do did what when from out could can are have who how"
    " if went saw by big little happy mom dad could wanted would like liked play played friends friend again about this"
    " back home down get go no yes your too its it's other into some good said, more never always even just our us know"
    " asked looked told see made loved felt around after together lived named girl boy".split()
)
_PLAIN = ["Tell me a story.", "Hello!", "Hi!", "Another one.", "Tell me another story."]
_FRAMES = [
    "Tell me a story about {}.",
    "Tell me a story about {}.",
    "Write a story about {}.",
    "Can you tell me a story about {}?",
    "I want a story with {}.",
    "A story about {}, please.",
    "Once more: a story about {}.",
    "{}",
]


def held_out_rows(source: Path, tokenizer: Tokenizer) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and targets, 32 rows of 512 tokens each."""
    rng = random.Random(7)
    stories = [story.strip() for story in source.read_text().split("<|endoftext|>") if story.strip()]
    rng.shuffle(stories)
    words = [collections.Counter(_WORD.findall(story)) for story in stories]
    frequency = collections.Counter(word for counter in words for word in counter)
    ids: list[int] = []
    for index in range(HELD_OUT_COUNT):
        story = tokenizer.encode(stories[index], add_special_tokens=False).ids
        if index % 2 == 0:
            ids += [ENDOFTEXT, *story, ENDOFTEXT]
            continue
        request = tokenizer.encode(_request(words[index], frequency, rng), add_special_tokens=False).ids
        ids += [USER, *request, END, ASSISTANT, *story, END]
    count = ROWS * CONTEXT
    return torch.tensor(ids[:count]).view(ROWS, CONTEXT), torch.tensor(ids[1 : count + 1]).view(ROWS, CONTEXT)


def _request(words: collections.Counter, frequency: collections.Counter, rng: random.Random) -> str:
    named = [w for w, count in words.items() if w not in _COMMON and count >= 2 and 20 <= frequency[w] <= 1600]
    named.sort(key=lambda word: -words[word] / frequency[word] ** 0.5)
    named = named[:5]
    rng.shuffle(named)
    named = named[: rng.choice([1, 1, 2, 2, 3])]
    if named:
        phrases = [_with_article(word) for word in named]
        joined = phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]
        request = rng.choice(_FRAMES).format(joined)
    else:
        request = rng.choice(_PLAIN)
    return rng.choice(_PLAIN) if rng.random() < 0.08 else request


def _with_article(word: str) -> str:
    if word.endswith("s") and not word.endswith("ss"):
        return word
    return ("an " if word[0] in "aeiou" else "a ") + word


@torch.no_grad()
def held_out_loss(model: torch.nn.Module, rows: tuple[torch.Tensor, torch.Tensor]) -> float:
    """Nats a token."""
    model.eval()
    inputs, targets = rows
    total = 0.0
    for start in range(0, len(inputs), 8):
        logits = model(inputs[start : start + 8])
        total += F.cross_entropy(logits.flatten(0, 1), targets[start : start + 8].flatten(), reduction="sum").item()
    model.train()
    return total / targets.numel()
