"""Measures the held-out loss as for version 1: a mix of requests and stories, rows of 512 tokens, mean over all tokens.

    python held_out.py <exported-folder> <stories.txt>

The requests are generated as for version 1, from the same random state, so that the losses are comparable. The loss on
training stories shows how much of them the model has memorized. Prints both losses as JSON, in nats per token.
"""

import argparse
import collections
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from corpus import ASSISTANT, END, ENDOFTEXT, HELD_OUT_COUNT, USER, read_stories_with
from tokenizers import Tokenizer

CONTEXT, ROWS = 512, 32
TRAINED_SAMPLES = 4
"""Number of samples of 250 training stories. Their mean loss is reported."""

Logits = Callable[[np.ndarray], np.ndarray]
"""Maps token ids, int64 [rows, length], to logits, f32 [rows, length, vocabulary]."""

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


def held_out_rows(source: Path, tokenizer: Tokenizer, first: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs and targets, both int64 [32, 512], from the 250 stories that start at index `first`.

    0 selects the held-out stories. Higher multiples of 250 select training stories.
    """
    rng = random.Random(7)
    stories = read_stories_with(rng, source)
    words = [collections.Counter(_WORD.findall(story)) for story in stories]
    frequency = collections.Counter(word for counter in words for word in counter)
    ids: list[int] = []
    for index in range(first, first + HELD_OUT_COUNT):
        story = tokenizer.encode(stories[index], add_special_tokens=False).ids
        if index % 2 == 0:
            ids += [ENDOFTEXT, *story, ENDOFTEXT]
            continue
        request = tokenizer.encode(_request(words[index], frequency, rng), add_special_tokens=False).ids
        ids += [USER, *request, END, ASSISTANT, *story, END]
    count = ROWS * CONTEXT
    rows = np.array(ids[: count + 1], np.int64)
    return rows[:-1].reshape(ROWS, CONTEXT), rows[1:].reshape(ROWS, CONTEXT)


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


def held_out_loss(compute_logits: Logits, rows: tuple[np.ndarray, np.ndarray]) -> float:
    """Returns the mean loss in nats per token."""
    total = 0.0
    for inputs, targets in zip(*rows):
        logits = compute_logits(inputs[None])[0].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        chosen = np.take_along_axis(logits, targets[:, None], -1)[:, 0]
        total += float((np.log(np.exp(logits).sum(-1)) - chosen).sum())
    return total / rows[1].size


def _onnx_logits(folder: Path) -> Logits:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "onnx/model_quantized.onnx", providers=["CPUExecutionProvider"])
    empty = {
        entry.name: np.zeros([1, entry.shape[1], 0, entry.shape[3]], np.float32)
        for entry in session.get_inputs()
        if entry.name.startswith("past_key_values.")
    }

    def compute(ids: np.ndarray) -> np.ndarray:
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), **empty}
        return session.run(["logits"], feeds)[0]

    return compute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a stories/ folder written by export_stories.py")
    parser.add_argument("stories", type=Path, help="the corpus, stories.txt")
    arguments = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    compute_logits = _onnx_logits(arguments.model)

    def loss(sample: int) -> float:
        return held_out_loss(compute_logits, held_out_rows(arguments.stories, tokenizer, sample * HELD_OUT_COUNT))

    trained = [loss(sample) for sample in range(1, 1 + TRAINED_SAMPLES)]
    print(json.dumps({"heldOut": loss(0), "trainedOn": sum(trained) / len(trained)}))


if __name__ == "__main__":
    main()
