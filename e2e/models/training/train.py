"""Trains the stories model from random weights, on the corpus and on stories written by `write_stories.py`.

The learning rate decays to zero over --seconds, independent of the number of steps. Writes `model.safetensors`.
"""

import argparse
import concurrent.futures
import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from conversations import ConversationMaker, Row, Story
from corpus import read_stories, training_stories
from held_out import held_out_loss, held_out_rows
from llama import STORIES, Llama
from muon import Muon
from nouns import find_nouns
from safetensors.torch import save_file
from subjects import SubjectFinder
from tokenizers import Tokenizer
from wishes import Wish

WARM_UP_STEPS, PROGRESS_STEPS = 50, 50
SHARDS = 16
"""The stories are divided into shards. Each is turned into batches by a process of its own, ahead of the training."""
CORPUS_PASSES = 2
"""How often a story of the corpus occurs for each time that a written story does."""


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=Path, required=True, help="path of the corpus, stories.txt")
    parser.add_argument("--written", type=Path, required=True, help="the file that write_stories.py wrote")
    parser.add_argument("--tokenizer", type=Path, required=True, help="path of tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--seconds", type=float, default=150, help="training time")
    parser.add_argument("--batch-tokens", type=int, default=49_152, help="maximum tokens of a step")
    parser.add_argument("--matrix-rate", type=float, default=0.02, help="peak learning rate of Muon")
    parser.add_argument("--embedding-rate", type=float, default=3e-3, help="peak learning rate of AdamW")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    parser.add_argument("--device", default="cuda", help="the device of PyTorch")
    return parser.parse_args()


Batch = tuple[np.ndarray, np.ndarray]
"""Token ids, int16 [rows, length], and their loss weights, f16 [rows, length], both padded at the end with zeros."""


class Batches:
    """Creates batches of rows of similar length, in processes of their own."""

    def __init__(self, arguments: argparse.Namespace):
        self._arguments = arguments
        processes = min(SHARDS, multiprocessing.cpu_count())
        self._pool = concurrent.futures.ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), _open_shards, (arguments,)
        )
        # Enough for all processes to be busy.
        self._ahead = processes + 2

    def endless(self) -> Iterator[tuple[int, Batch]]:
        """Yields batches with the number of their pass over the stories, for ever."""
        tasks = ((epoch, shard) for epoch in range(10**6) for shard in range(SHARDS))
        waiting = [(task[0], self._pool.submit(_make_batches, *task)) for task, _ in zip(tasks, range(self._ahead))]
        while True:
            epoch, future = waiting.pop(0)
            task = next(tasks)
            waiting.append((task[0], self._pool.submit(_make_batches, *task)))
            for batch in future.result():
                yield epoch, batch

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


def _open_shards(arguments: argparse.Namespace) -> None:
    """Prepares a process that makes batches."""
    global _maker, _stories, _options
    corpus = read_stories(arguments.stories)
    _maker = ConversationMaker(Tokenizer.from_file(str(arguments.tokenizer)), SubjectFinder(*find_nouns(corpus)))
    lines = (json.loads(line) for line in arguments.written.open())
    written = [Story(line["text"], Wish(line["phrase"], tuple(line["subjects"]))) for line in lines]
    _stories = [Story(text) for text in training_stories(corpus)] * CORPUS_PASSES + written
    _options = arguments


def _make_batches(epoch: int, shard: int) -> list[Batch]:
    order = random.Random(f"{_options.seed} {epoch}").sample(range(len(_stories)), len(_stories))
    rng = random.Random(f"{_options.seed} {epoch} {shard}")
    rows = sorted(_maker.rows([_stories[index] for index in order[shard::SHARDS]], rng), key=len)
    batches: list[list[Row]] = [[]]
    for row in rows:
        if (len(batches[-1]) + 1) * len(row) > _options.batch_tokens:
            batches.append([])
        batches[-1].append(row)
    rng.shuffle(batches)
    return [_pad(batch) for batch in batches]


def _pad(rows: list[Row]) -> Batch:
    length = max(map(len, rows))
    ids, weights = np.zeros((len(rows), length), np.int16), np.zeros((len(rows), length), np.float16)
    for index, row in enumerate(rows):
        ids[index, : len(row)], weights[index, : len(row)] = row.ids, row.weights
    return ids, weights


def make_optimizers(model: Llama, arguments: argparse.Namespace) -> list[torch.optim.Optimizer]:
    """Returns Muon for the matrices of the layers, and AdamW for the embedding and the norms."""
    hidden = [p for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name]
    embedding = [model.model["embed_tokens"].weight]
    norms = [p for p in model.parameters() if p.dim() == 1]
    return [
        Muon(hidden, lr=arguments.matrix_rate, weight_decay=0.02),
        torch.optim.AdamW(
            [{"params": embedding, "weight_decay": 0.02}, {"params": norms, "weight_decay": 0.0}],
            lr=arguments.embedding_rate,
            betas=(0.9, 0.98),
        ),
    ]


def set_rates(optimizers: list[torch.optim.Optimizer], peaks: list[float], share: float) -> None:
    """Sets each learning rate to a share (0 to 1) of its peak."""
    for optimizer, peak in zip(optimizers, peaks):
        for group in optimizer.param_groups:
            group["lr"] = peak * share


def train(arguments: argparse.Namespace, batches: Batches) -> None:
    device = torch.device(arguments.device)
    model = Llama(STORIES)
    model.initialize(arguments.seed)
    model.to(device)
    optimizers = make_optimizers(model, arguments)
    peaks = [arguments.matrix_rate, arguments.embedding_rate]
    held_out = held_out_rows(arguments.stories, Tokenizer.from_file(str(arguments.tokenizer)))
    steps, tokens, mean = 0, 0, 0.0
    source = batches.endless()
    # The first batches are made before the time starts.
    epoch, batch = next(source)
    started_at = time.monotonic()
    while (share := (time.monotonic() - started_at) / arguments.seconds) < 1:
        set_rates(optimizers, peaks, min(1, (steps + 1) / WARM_UP_STEPS) * (1 - share))
        ids = torch.from_numpy(batch[0]).to(device, torch.int64)
        weights = torch.from_numpy(batch[1]).to(device, torch.float32)[:, 1:]
        with torch.autocast(device.type, torch.bfloat16):
            logits = model.logits(model.hidden(ids[:, :-1]))
        losses = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        loss = (losses * weights.flatten()).sum() / weights.sum()
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        steps += 1
        tokens += int((batch[1] > 0).sum())
        if steps % PROGRESS_STEPS == 0:
            seconds = time.monotonic() - started_at
            print(
                f"{seconds:.0f} s: step {steps}, epoch {epoch}, {tokens / 1e6:.1f} M tokens,"
                f" {tokens / seconds:.0f} tokens/s, loss {loss.item():.3f}",
                flush=True,
            )
        epoch, batch = next(source)

    @torch.inference_mode()
    def compute_logits(ids: np.ndarray) -> np.ndarray:
        return model.logits(model.hidden(torch.from_numpy(ids).to(device))).cpu().numpy()

    arguments.out.mkdir(parents=True, exist_ok=True)
    save_file({name: value.cpu() for name, value in model.state_dict().items()}, arguments.out / "model.safetensors")
    print(f"{steps} steps, {tokens / 1e6:.1f} M tokens, held-out loss {held_out_loss(compute_logits, held_out):.4f}", flush=True)


def main() -> None:
    arguments = parse_arguments()
    torch.set_float32_matmul_precision("high")
    batches = Batches(arguments)
    try:
        train(arguments, batches)
    finally:
        batches.close()


if __name__ == "__main__":
    main()
