"""Two processes teach the same student as one."""

import json
import subprocess
import sys

import pytest

from curate.distillation.batches import Encoder, collate
from curate.distillation.distill import distill
from curate.distillation.results import TrainingReport
from curate.distillation.stack import count_examples, count_totals
from curate.distillation.world import World

from .classroom import QUESTIONS, make_config

LAUNCH = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m"]


def test_two_processes_give_the_losses_of_one(classroom):
    losses = {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1, "balance": "auto"}
    config = make_config(losses=losses, epochs=2, gradient_accumulation=2, checkpoint_every=3)
    alone = distill(
        classroom.teacher_ticket, classroom.dataset_ticket, config, root=classroom.root, out=classroom.root / "alone"
    )
    path, out = classroom.root / "config.yaml", classroom.root / "both"
    path.write_text(json.dumps(config.model_dump(mode="json")))
    tickets = ["--teacher", str(classroom.root / "teacher.json"), "--dataset", str(classroom.root / "dataset.json")]
    command = [sys.executable, "-m", *LAUNCH, "curate", "distill", str(path), *tickets, "-o", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    both = TrainingReport.read(out / "training.json")
    assert both.machine["processes"] == "2"
    assert both.tokens == alone.tokens
    assert len(both.curve) == len(alone.curve) > 3
    for ours, theirs in zip(both.curve, alone.curve, strict=True):
        assert ours.total == pytest.approx(theirs.total, rel=1e-4)
        assert ours.terms == pytest.approx(theirs.terms, rel=1e-3)
    assert both.balance == pytest.approx(alone.balance, rel=1e-3)
    assert both.after.kl_to_teacher == pytest.approx(alone.after.kl_to_teacher, rel=0.02)


def test_every_row_belongs_to_one_process():
    rows = [5, 3, 8, 1, 9]
    shares = [World(rank, 3).share(rows) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == sorted(rows)
    assert World(2, 3).share([4, 6]) == []


def test_counts_are_the_same_before_and_after_a_batch_is_made(tokenizer):
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    examples = encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))
    assert count_examples(examples) == count_totals([collate(examples, 0)])
