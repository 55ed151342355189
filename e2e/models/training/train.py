"""Trains the stories model (see README.md for the command).

Uses one process per core. The learning rate decays to zero over --minutes, independent of the number of steps. A run
with the same --out continues from the last checkpoint. `model.safetensors` in that folder contains the latest weights.
"""

import argparse
import dataclasses
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from conversations import ConversationMaker, Emphasis, Row
from corpus import read_stories, training_stories
from held_out import held_out_loss, held_out_rows
from llama import Llama
from muon import Muon
from nouns import find_nouns
from retelling import SubjectFinder
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

DROPOUT = 0.02
WARM_UP_STEPS = 20
CHECKPOINT_SECONDS, HELD_OUT_SECONDS, PROGRESS_STEPS = 180, 300, 10


@dataclasses.dataclass
class Progress:
    """The progress of a run, saved in its checkpoint. `position` counts the batches of the epoch."""

    epoch: int = 0
    position: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=Path, required=True, help="path of the corpus, stories.txt")
    parser.add_argument("--tokenizer", type=Path, required=True, help="path of tokenizer.json")
    parser.add_argument("--start", type=Path, help="start weights, .safetensors or .gguf (default: random weights)")
    parser.add_argument(
        "--start-share",
        type=float,
        default=0.0,
        help="share (0 to 1) of the start weights in the final mean (Wortsman et al., 2022, arXiv 2109.01903)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the weights")
    parser.add_argument("--minutes", type=float, default=60, help="training time, including that of earlier runs")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="number of processes")
    parser.add_argument("--batch-tokens", type=int, default=2560, help="maximum tokens per process and step")
    parser.add_argument("--matrix-rate", type=float, default=0.01, help="peak learning rate of Muon")
    parser.add_argument("--embedding-rate", type=float, default=1e-3, help="peak learning rate of AdamW")
    parser.add_argument("--substitution-share", type=float, default=0.33, help="probability of a new name or subject")
    parser.add_argument("--first-mention", type=float, default=4.0, help="loss weight of a subject's first mention")
    parser.add_argument("--later-mentions", type=float, default=1.5, help="loss weight of later mentions")
    parser.add_argument("--request", type=float, default=0.3, help="loss weight of the request")
    parser.add_argument("--seed", type=int, default=1, help="seed of the random numbers")
    arguments = parser.parse_args()
    if arguments.start_share and not arguments.start:
        parser.error("--start-share requires --start: without start weights there is no mean to compute")
    return arguments


class Batches:
    """Creates the batches of an epoch, identical in every process. Each contains rows of similar length."""

    def __init__(self, arguments: argparse.Namespace):
        stories = read_stories(arguments.stories)
        finder = SubjectFinder(*find_nouns(stories))
        emphasis = Emphasis(
            arguments.substitution_share, arguments.first_mention, arguments.later_mentions, arguments.request
        )
        self.maker = ConversationMaker(Tokenizer.from_file(str(arguments.tokenizer)), finder, emphasis)
        self.stories, self.seed, self.tokens = training_stories(stories), arguments.seed, arguments.batch_tokens

    def epoch(self, epoch: int) -> list[list[Row]]:
        """Returns the batches of an epoch in random order."""
        rng = random.Random(f"{self.seed} {epoch}")
        batches: list[list[Row]] = [[]]
        for row in sorted(self.maker.rows(self.stories, rng), key=len):
            if (len(batches[-1]) + 1) * len(row) > self.tokens:
                batches.append([])
            batches[-1].append(row)
        rng.shuffle(batches)
        return batches


def as_tensors(rows: list[Row]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Returns inputs, targets and loss weights, all [rows, length - 1], padded at the end."""
    length = max(map(len, rows))
    ids = torch.tensor([row.ids + [0] * (length - len(row)) for row in rows])
    weights = torch.tensor([row.weights + [0.0] * (length - len(row)) for row in rows])
    return ids[:, :-1], ids[:, 1:], weights[:, 1:]


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


def step_gradients(model: Llama, rows: list[Row]) -> tuple[float, int]:
    """Computes the gradients of the weighted mean loss over the batches of all processes.

    Returns this loss and the number of tokens in all batches.
    """
    inputs, targets, weights = as_tensors(rows)
    losses = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), reduction="none")
    loss = (losses * weights.flatten()).sum()
    model.zero_grad(set_to_none=True)
    loss.backward()
    totals = torch.tensor([loss.item(), weights.sum().item(), sum(map(len, rows))])
    flat = torch.cat([p.grad.flatten() for p in model.parameters()] + [totals])
    dist.all_reduce(flat)
    loss_sum, weight_sum, tokens = flat[-3:].tolist()
    offset = 0
    for parameter in model.parameters():
        parameter.grad.copy_(flat[offset : offset + parameter.numel()].view_as(parameter)).div_(weight_sum)
        offset += parameter.numel()
    return loss_sum / weight_sum, int(tokens)


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Reads weights by Hugging Face name from a safetensors or GGUF file.

    Some versions of the model exist only as the published GGUF file, not in f32.
    """
    if path.suffix != ".gguf":
        return load_file(path)
    sys.path.append(str(Path(__file__).parent.parent))
    from llama_gguf import read_gguf

    return {name: torch.from_numpy(np.array(values)) for name, values in read_gguf(path).dequantize().items()}


def write_atomically(path: Path, write) -> None:
    """Calls `write` with a temporary path, then renames the file to `path`."""
    partial = path.with_suffix(".partial")
    write(partial)
    partial.replace(path)


def train(rank: int, arguments: argparse.Namespace) -> None:
    """Runs the training in process `rank`. Process 0 also prints the progress and writes the files."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    dist.init_process_group("gloo", rank=rank, world_size=arguments.processes)
    is_first = rank == 0
    model, progress = Llama(DROPOUT), Progress()
    start = read_weights(arguments.start) if arguments.start else {}
    if start:
        model.load_state_dict(start)
    else:
        model.initialize(torch.Generator().manual_seed(arguments.seed))
    optimizers = make_optimizers(model, arguments)
    peaks = [arguments.matrix_rate, arguments.embedding_rate]
    checkpoint_path = arguments.out / "checkpoint.pt"
    if checkpoint_path.exists():
        saved = torch.load(checkpoint_path)
        model.load_state_dict(saved["model"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        progress = Progress(**saved["progress"])
    torch.manual_seed(arguments.seed * 1000 + progress.steps * arguments.processes + rank)
    batches = Batches(arguments)
    held_out = held_out_rows(arguments.stories, batches.maker.tokenizer) if is_first else None

    def save() -> None:
        state = {
            "model": model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "progress": dataclasses.asdict(progress),
        }
        write_atomically(checkpoint_path, lambda path: torch.save(state, path))
        save_weights()

    def save_weights() -> None:
        write_atomically(arguments.out / "model.safetensors", lambda path: save_file(model.state_dict(), path))

    @torch.no_grad()
    def compute_logits(ids: np.ndarray) -> np.ndarray:
        return model(torch.from_numpy(ids)).numpy()

    def report_held_out() -> None:
        model.eval()
        print(f"{progress.seconds:.0f} s: held-out loss {held_out_loss(compute_logits, held_out):.4f}", flush=True)
        model.train()

    budget = arguments.minutes * 60
    last_save = last_held_out = progress.seconds
    seconds_before, started_at = progress.seconds, time.monotonic()
    mean_loss = None
    epoch = batches.epoch(progress.epoch)
    while True:
        progress.seconds = seconds_before + time.monotonic() - started_at
        share = torch.tensor(progress.seconds / budget)
        dist.broadcast(share, 0)
        if share >= 1:
            break
        if progress.position + arguments.processes > len(epoch):
            progress.epoch, progress.position = progress.epoch + 1, 0
            epoch = batches.epoch(progress.epoch)
        set_rates(optimizers, peaks, min(1, (progress.steps + 1) / WARM_UP_STEPS) * (1 - share.item()))
        loss, tokens = step_gradients(model, epoch[progress.position + rank])
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        progress.position += arguments.processes
        progress.steps += 1
        progress.tokens += tokens
        mean_loss = loss if mean_loss is None else 0.95 * mean_loss + 0.05 * loss
        if not is_first:
            continue
        if progress.steps % PROGRESS_STEPS == 0:
            print(
                f"{progress.seconds:.0f} s: step {progress.steps}, epoch {progress.epoch}, {progress.tokens / 1e6:.2f} M tokens,"
                f" {progress.tokens / progress.seconds:.0f} tokens/s, loss {mean_loss:.3f}",
                flush=True,
            )
        if progress.seconds - last_save > CHECKPOINT_SECONDS:
            last_save = progress.seconds
            save()
        if progress.seconds - last_held_out > HELD_OUT_SECONDS:
            last_held_out = progress.seconds
            report_held_out()
    if is_first:
        save()
        report_held_out()
        if arguments.start_share > 0:
            share = arguments.start_share
            model.load_state_dict({name: w.lerp(start[name], share) for name, w in model.state_dict().items()})
            save_weights()
            report_held_out()
    dist.barrier()
    dist.destroy_process_group()


def main() -> None:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    # Keep freed memory in the process instead of returning it to the system after every step: about 25 % faster.
    os.environ |= {
        "MALLOC_MMAP_THRESHOLD_": "4294967296",
        "MALLOC_TRIM_THRESHOLD_": "17179869184",
        "MALLOC_TOP_PAD_": "268435456",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": os.environ.get("MASTER_PORT", "29571"),
    }
    mp.spawn(train, (arguments,), nprocs=arguments.processes)


if __name__ == "__main__":
    main()
