"""A distillation trainer of curate or TRL, one measured in this process: the same models, answers and precision.

SmolLM2-135M-Instruct teaches a copy of six of its layers, GSM8K's questions with their true answers, forward KL, whole
vocabulary, AdamW. Time is of ``train`` alone with what it calls, memory the peak resident size above that with both
models loaded.
"""

import ctypes
import gc
import os
import tempfile
import time
from pathlib import Path

from corpora import read_set
from machine import Peak

LAYERS = (0, 6, 12, 18, 24, 29)
RATE = 1e-4
TRL_ROWS = 4
"""Rows of TRL's batches."""
BATCH_TOKENS = 1024
"""Of curate's; about as many tokens as TRL's have."""
EPOCHS = {"cached": 3, "TRL3": 3, "curate3": 3, "compiled": 3}
"""Of the trainers that run more than one."""


def measure_trainer(variant, options):
    """One variant, measured here."""
    import torch

    from curate.distillation.batches import Encoder
    from curate.distillation.loading import load_model
    from curate.distillation.smollm2 import fetch_smollm2
    from curate.distillation.student import keep_layers

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    name, _, precision = variant.removeprefix("trainer ").partition(" ")
    teacher, tokenizer = load_model(str(fetch_smollm2(offline=True)))
    teacher.eval().requires_grad_(False)
    student = keep_layers(teacher, LAYERS)
    rows = [row for row in read_set("gsm8k") if row["split"] == "train"][: options.examples]
    questions, answers = [row["prompt"] for row in rows], [row["response"] for row in rows]
    encoder = Encoder(tokenizer, max_prompt_tokens=512, max_answer_tokens=512)
    examples = encoder.encode([row["id"] for row in rows], questions, answers)
    with tempfile.TemporaryDirectory() as folder:
        if name in ("TRL", "TRL3"):
            run = precision, EPOCHS.get(name, 1)
            train = prepare_trl(student, teacher, tokenizer, questions, answers, run, Path(folder))
        else:
            train = prepare_curate(student, teacher, encoder, examples, (name, precision), Path(folder))
        sum(float(tensor.sum()) for model in (student, teacher) for tensor in model.parameters())  # all pages are in
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        with Peak() as peak:
            wall, cpu = time.perf_counter(), spent()
            loss, last = train()
            wall, cpu = time.perf_counter() - wall, spent() - cpu
    tokens = sum(example.length for example in examples) * EPOCHS.get(name, 1)
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak.megabytes, "loss": loss, "tokens": tokens, "last_s": last}


def spent():
    """CPU seconds of this process and of those it waited for."""
    return sum(os.times()[:4])


def prepare_trl(student, teacher, tokenizer, questions, answers, run, folder):
    """GKDTrainer, off-policy, β = 0; without gradient checkpointing, which would make it slower.

    ``run`` is precision and epochs.
    """
    from datasets import Dataset
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    precision, epochs = run
    talks = [
        [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        for question, answer in zip(questions, answers, strict=True)
    ]
    options = GKDConfig(
        output_dir=str(folder), use_cpu=True, bf16=precision == "bf16", lmbda=0.0, beta=0.0, max_length=1024,
        per_device_train_batch_size=TRL_ROWS, num_train_epochs=epochs, learning_rate=RATE, gradient_checkpointing=False,
        report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True, optim="adamw_torch",
    )  # fmt: skip
    trainer = GKDTrainer(
        model=student, teacher_model=teacher, args=options, processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"messages": talks}),
    )  # fmt: skip
    return lambda: (trainer.train().training_loss, None)


def prepare_curate(student, teacher, encoder, examples, kind, folder):
    """The trainer of ``curate distill``; ``cached``: three epochs from a cache of the teacher, which is built first.

    Of three epochs the CPU seconds of the last are told too.
    """
    from curate.distillation.cache import build_cache
    from curate.distillation.config import parse_config
    from curate.distillation.stack import LossStack
    from curate.distillation.trainer import Trainer

    name, precision = kind
    epochs = EPOCHS.get(name, 1)
    settings = {"losses": {"task": 0, "kd": 1}, "batch_tokens": BATCH_TOKENS, "learning_rate": RATE}
    config = parse_config(settings | {"precision": precision, "epochs": epochs, "compile": name == "compiled"})

    def train():
        cache = None
        if name == "cached":
            cache = build_cache(folder / "cache", "0" * 64, examples, teacher, pad=encoder.pad, top_k=64)
        stack = LossStack(student, teacher, config.losses, kept=LAYERS, cache=cache)
        marks, checkpoints = [], folder / "checkpoints"
        progress = lambda *_: marks.append(spent())  # noqa: E731
        trainer = Trainer(stack, examples, encoder.pad, config, checkpoints=checkpoints, progress=progress)
        trainer.run()
        last = marks[-1] - marks[-1 - len(trainer.plan) // epochs] if epochs > 1 else None
        return sum(point.total for point in trainer.curve) / len(trainer.curve), last

    return train
