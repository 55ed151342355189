"""Writes many new stories for training: SmolLM2-135M, fine-tuned on the corpus, tells a story for each wish.

    python write_stories.py --gguf SmolLM2-135M-Instruct.gguf --stories stories.txt --out written.jsonl --train 60 --write 180

Needs a graphics card. `--train` and `--write` are seconds. Each line of the output has a wish, its subjects and its story.
Stories without their subjects, without an end or with repeated phrases are left out.
"""

import argparse
import collections
import dataclasses
import json
import math
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import read_stories, training_stories
from llama import Cache, Llama
from nouns import find_nouns
from subjects import SubjectFinder
from tokenizers import Tokenizer
from wishes import Wish, Wishes
from words import mentions

from llama_gguf import read_gguf
from smollm2_files import tokenizer_json

PEAK_RATE, WARM_UP_STEPS = 3e-4, 10
TEMPERATURE, MIN_SHARE = 0.8, 0.06
"""A token is left out if its probability is below this share of the likeliest token's (min-p)."""
MAX_TOKENS = 300


@dataclasses.dataclass
class Teacher:
    """SmolLM2 with its tokenizer."""

    model: Llama
    tokenizer: Tokenizer
    end: int

    def prompt(self, phrase: str) -> list[int]:
        text = f"<|im_start|>user\nWrite a short and simple story for small children about {phrase}.<|im_end|>\n<|im_start|>assistant\n"
        return self.encode(text)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def open_teacher(path: Path, device: str) -> Teacher:
    gguf = read_gguf(path)
    model = Llama(gguf.config)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in gguf.dequantize().items()})
    tokenizer = Tokenizer.from_str(json.dumps(tokenizer_json(gguf)))
    return Teacher(model.to(device), tokenizer, gguf.metadata["tokenizer.ggml.eos_token_id"])


def fine_tune(teacher: Teacher, stories: list[str], finder: SubjectFinder, seconds: float, batch_tokens: int) -> None:
    """Trains the teacher on the corpus, each story with a wish. The learning rate decays to zero over the time."""
    model = teacher.model
    device = model.cos.device
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.01)
    started_at, steps, epoch, mean = time.monotonic(), 0, 0, None
    rng = random.Random(1)
    while True:
        for rows in _batches(teacher, stories, finder, batch_tokens, rng):
            share = (time.monotonic() - started_at) / seconds
            if share >= 1:
                return
            for group in optimizer.param_groups:
                group["lr"] = PEAK_RATE * min(1, (steps + 1) / WARM_UP_STEPS) * (1 - share)
            length = max(len(prompt) + len(story) for prompt, story in rows)
            ids = torch.tensor([p + s + [0] * (length - len(p) - len(s)) for p, s in rows], device=device)
            is_story = torch.tensor(
                [[0] * len(p) + [1] * len(s) + [0] * (length - len(p) - len(s)) for p, s in rows], device=device
            )[:, 1:].bool()
            with torch.autocast(device.type, torch.bfloat16):
                # Only the positions whose loss counts get logits: the vocabulary is large.
                logits = model.logits(model.hidden(ids)[:, :-1][is_story])
            loss = F.cross_entropy(logits.float(), ids[:, 1:][is_story])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            steps += 1
            if steps % 20 == 0:
                mean = loss.item() if mean is None else 0.7 * mean + 0.3 * loss.item()
                print(f"teacher: {time.monotonic() - started_at:.0f} s, step {steps}, epoch {epoch}, loss {mean:.3f}", flush=True)
        epoch += 1


def _batches(
    teacher: Teacher, stories: list[str], finder: SubjectFinder, tokens: int, rng: random.Random
) -> Iterator[list[tuple[list[int], list[int]]]]:
    """Yields prompts with stories, of similar length in each batch, in random order."""
    rows = []
    encodings = teacher.tokenizer.encode_batch(stories, add_special_tokens=False)
    for story, encoding in zip(stories, encodings):
        wish = finder.guess(story, rng)
        if wish and len(encoding.ids) < 2 * MAX_TOKENS:
            rows.append((teacher.prompt(wish.phrase), [*encoding.ids, teacher.end]))
    rows.sort(key=lambda row: len(row[1]))
    batches, batch = [], []
    for row in rows:
        if (len(batch) + 1) * (len(row[0]) + len(row[1])) > tokens:
            batches.append(batch)
            batch = []
        batch.append(row)
    if not batches:
        raise ValueError(f"{len(stories)} stories do not fill a batch of {tokens} tokens.")
    rng.shuffle(batches)
    return iter(batches)


@torch.inference_mode()
def tell(model: Llama, prompts: torch.Tensor, end: int) -> dict[int, list[int]]:
    """Samples a continuation of each prompt, int64 [rows, length]. Returns the tokens of those that end, by row."""
    rows, length = prompts.shape
    cache = Cache(model.config, rows, length + MAX_TOKENS, model.model["embed_tokens"].weight)
    told: dict[int, list[int]] = {}
    # The rows that still run, in the order of the cache's rows, and their tokens.
    running = torch.arange(rows, device=prompts.device)
    texts = prompts.new_empty((rows, 0))

    def collect(ended: torch.Tensor) -> None:
        for row, tokens in zip(running[ended].tolist(), texts[ended].tolist()):
            told[row] = tokens[: tokens.index(end)]

    hidden = model.hidden(prompts, cache)[:, -1]
    for step in range(MAX_TOKENS):
        logits = model.logits(hidden).float() / TEMPERATURE
        logits.masked_fill_(logits < logits.amax(-1, keepdim=True) + math.log(MIN_SHARE), -torch.inf)
        chosen = (logits.softmax(-1) / torch.empty_like(logits).exponential_()).argmax(-1, keepdim=True)
        texts = torch.cat([texts, chosen], 1)
        if step % 8 == 7:
            # A row that has ended runs on until enough have: to remove rows costs a copy of the cache.
            still = (texts != end).all(1)
            if int(still.sum()) < 0.75 * len(texts):
                collect(~still)
                kept = still.nonzero()[:, 0]
                running, texts, chosen = running[kept], texts[kept], chosen[kept]
                cache.select(kept)
            if len(texts) == 0:
                return told
        hidden = model.hidden(chosen, cache)[:, -1]
    collect((texts == end).any(1))
    return told


def is_good(text: str, wish: Wish) -> bool:
    """Whether a story may be used for training: it names its subjects, ends with a sentence and repeats little."""
    words = text.lower().split()
    trigrams = list(zip(words, words[1:], words[2:]))
    return (
        50 <= len(words) <= 280
        and text.isascii()
        and text.rstrip()[-1] in '.!?"'
        and not re.search(r"[<>{}|*#_\[\]]", text)
        and all(mentions(subject).search(text) for subject in wish.subjects)
        and len(mentions(wish.subjects[0]).findall(text)) >= 2
        and len(set(trigrams)) > 0.93 * len(trigrams)
    )


def write(teacher: Teacher, wishes: Wishes, out: Path, seconds: float, rows: int) -> None:
    """Writes stories until the time is over, `rows` at a time. The prompts of a pass have the same length."""
    model = teacher.model
    # Not the angles of the positions, which need all digits.
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    started_at, told_count, good_count = time.monotonic(), 0, 0
    rng = random.Random(2)
    waiting: dict[int, list[tuple[Wish, list[int]]]] = collections.defaultdict(list)
    with out.open("w") as file:
        while time.monotonic() - started_at < seconds:
            wish = wishes.draw(rng)
            prompt = teacher.prompt(wish.phrase)
            batch = waiting[len(prompt)]
            batch.append((wish, prompt))
            if len(batch) < rows:
                continue
            del waiting[len(prompt)]
            told = tell(model, torch.tensor([each for _, each in batch], device=model.cos.device), teacher.end)
            texts = teacher.tokenizer.decode_batch(list(told.values()))
            fulfilled = [(batch[row][0], text.strip()) for row, text in zip(told, texts)]
            good = [(wish, text) for wish, text in fulfilled if is_good(text, wish)]
            for wish, text in good:
                file.write(json.dumps({"phrase": wish.phrase, "subjects": wish.subjects, "text": text}) + "\n")
            told_count, good_count = told_count + len(batch), good_count + len(good)
            print(f"written: {time.monotonic() - started_at:.0f} s, {told_count} told, {good_count} good", flush=True)
            for wish, text in good[:1]:
                print(f"  {wish.phrase}: {text}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", type=Path, required=True, help="path of SmolLM2-135M-Instruct as GGUF")
    parser.add_argument("--stories", type=Path, required=True, help="path of the corpus, stories.txt")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, JSON lines")
    parser.add_argument("--train", type=float, default=60, help="seconds of fine-tuning")
    parser.add_argument("--write", type=float, default=180, help="seconds of writing")
    parser.add_argument("--batch-tokens", type=int, default=24_576, help="tokens of a training step")
    parser.add_argument("--rows", type=int, default=4096, help="stories written at the same time")
    parser.add_argument("--device", default="cuda", help="the device of PyTorch")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    torch.set_float32_matmul_precision("high")
    stories = read_stories(arguments.stories)
    finder = SubjectFinder(*find_nouns(stories))
    teacher = open_teacher(arguments.gguf, arguments.device)
    fine_tune(teacher, training_stories(stories), finder, arguments.train, arguments.batch_tokens)
    write(teacher, Wishes(finder.nouns), arguments.out, arguments.write, arguments.rows)


if __name__ == "__main__":
    main()
