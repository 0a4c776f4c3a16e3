"""Train the embedded teacher from scratch and write its folder.

Run from the repository root, with the data folder in ``CURATE_CORPUS``::

    python recipes/embedded_teacher/train.py "$CURATE_CORPUS" --out curate/embedded/intent_teacher

The model reads a bank customer's message and generates the name of its intent (BANKING77, 77 intents).
Early epochs mix in other intent sets; later epochs see BANKING77 alone. The official test split is read for
the final number and for keeping its messages out of training, never for a choice.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from batches import Batch, iterate_batches
from corpora import Corpora, Example, read_corpora
from evaluate import measure_accuracy
from model import Average, add_dropout, build_model, some_layers_left_out
from release import write_release
from torch.nn import functional
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from vocabulary import build_tokenizer


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights, besides the data."""

    seed: int = 77
    threads: int = 1
    vocabulary: int = 2560
    width: int = 256
    depth: int = 8
    context: int = 256
    mixed_epochs: int = 3
    target_epochs: int = 26
    added_rows_per_label: int = 100
    batch_rows: int = 48
    learning_rate: float = 1.5e-3
    final_rate: float = 0.02
    warmup_steps: int = 150
    weight_decay: float = 0.1
    clip_norm: float = 1.0
    dropout: float = 0.15
    layer_drop: float = 0.35
    token_dropout: float = 0.05
    variation: float = 1.0
    label_smoothing: float = 0.05
    message_loss: float = 0.3
    average_decay: float = 0.998
    dev_rows: int = 400


def split_loss(logits: torch.Tensor, batch: Batch, smoothing: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy of answers (summed over tokens, mean over rows) and of messages (mean over tokens), in nats."""
    input_ids, part = batch
    scores, wanted, part = logits[:, :-1].flatten(0, 1).float(), input_ids[:, 1:].flatten(), part[:, 1:].flatten()
    is_answer, is_message = part == 1, part == 0
    answer = functional.cross_entropy(scores[is_answer], wanted[is_answer], label_smoothing=smoothing, reduction="sum")
    message = functional.cross_entropy(scores[is_message], wanted[is_message])
    return answer / len(input_ids), message


def make_optimizer(model: LlamaForCausalLM, settings: Settings) -> torch.optim.AdamW:
    """AdamW with weight decay on matrices only."""
    matrices = [weight for weight in model.parameters() if weight.ndim > 1]
    vectors = [weight for weight in model.parameters() if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def rate_at(step: int, steps: int, settings: Settings) -> float:
    """The share of the peak learning rate at a step: linear warm-up, then cosine."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, steps - settings.warmup_steps)
    return settings.final_rate + (1 - settings.final_rate) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


class Run:
    """One training run: the model, its average, and the curve so far."""

    def __init__(self, settings: Settings, corpora: Corpora, tokenizer: PreTrainedTokenizerFast) -> None:
        self.settings, self.corpora, self.tokenizer = settings, corpora, tokenizer
        self.rng = random.Random(settings.seed)
        self.model = build_model(tokenizer, settings.width, settings.depth, settings.context)
        add_dropout(self.model, settings.dropout)
        self.optimizer = make_optimizer(self.model, settings)
        self.average = Average(self.model, settings.average_decay)
        self.curve: list[dict[str, float]] = []
        self.step, self.started = 0, time.monotonic()
        target = math.ceil(len(corpora.train) / settings.batch_rows)
        mixed = math.ceil((len(corpora.train) + len(corpora.added)) / settings.batch_rows)
        self.steps = settings.mixed_epochs * mixed + settings.target_epochs * target

    def train(self) -> None:
        """Run every epoch, measuring the averaged weights on the dev rows now and then."""
        epochs = self.settings.mixed_epochs + self.settings.target_epochs
        for epoch in range(epochs):
            is_mixed = epoch < self.settings.mixed_epochs
            rows = self.corpora.train + (self.corpora.added if is_mixed else [])
            answer_loss, message_loss = self._run_epoch(rows)
            point = {
                "epoch": epoch + 1,
                "step": self.step,
                "answer_loss": round(answer_loss, 4),
                "message_loss": round(message_loss, 4),
                "wall_s": round(time.monotonic() - self.started, 1),
            }
            if epoch % 3 == 2 or epoch + 1 == epochs:
                with self.average.in_place_of(self.model):
                    point["dev_accuracy"] = measure_accuracy(self.model, self.tokenizer, self.corpora.dev)
            self.curve.append(point)
            sys.stdout.write(json.dumps(point) + "\n")
            sys.stdout.flush()

    def _run_epoch(self, rows: list[Example]) -> tuple[float, float]:
        settings = self.settings
        self.model.train()
        sums, count = [0.0, 0.0], 0
        self.tokenizer.backend_tokenizer.model.dropout = settings.token_dropout
        batches = iterate_batches(self.tokenizer, rows, settings.batch_rows, self.rng, settings.variation)
        for batch in batches:
            answer, message = self._take_step(batch)
            sums, count = [sums[0] + answer, sums[1] + message], count + 1
        self.tokenizer.backend_tokenizer.model.dropout = None
        return sums[0] / count, sums[1] / count

    def _take_step(self, batch: Batch) -> tuple[float, float]:
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * rate_at(self.step, self.steps, settings)
        with (
            some_layers_left_out(self.model, settings.layer_drop, self.rng),
            torch.autocast("cpu", torch.bfloat16),
        ):
            # Rows are padded on the right, so the causal mask alone keeps padding out of sight.
            logits = self.model(input_ids=batch[0], use_cache=False).logits
            answer, message = split_loss(logits, batch, settings.label_smoothing)
        (answer + settings.message_loss * message).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.average.update(self.model)
        self.step += 1
        return answer.item(), message.item()


def parse_arguments() -> tuple[Path, Path, Settings]:
    """The data folder, the output folder and the settings from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="the data folder, with prompts/banking77/data.jsonl inside")
    parser.add_argument("--out", type=Path, default=Path("curate/embedded/intent_teacher"))
    for setting in fields(Settings):
        kind = type(setting.default)
        parser.add_argument("--" + setting.name.replace("_", "-"), type=kind, default=setting.default)
    given = vars(parser.parse_args())
    return given.pop("corpus"), given.pop("out"), Settings(**given)


def main() -> None:
    """Train, measure on the test split once, and write the teacher's folder."""
    corpus, out, settings = parse_arguments()
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    corpora = read_corpora(corpus, settings.seed, settings.dev_rows, settings.added_rows_per_label)
    texts = [example.message for example in corpora.train * 3 + corpora.added] + corpora.answers() * 200
    tokenizer = build_tokenizer(texts, settings.vocabulary, settings.context)
    run = Run(settings, corpora, tokenizer)
    sys.stdout.write(f"{run.model.num_parameters()} parameters, {run.steps} steps, {corpora.files}\n")
    run.train()
    with run.average.in_place_of(run.model):
        write_release(run.model, tokenizer, corpora, asdict(settings), run.curve, out)


if __name__ == "__main__":
    main()
