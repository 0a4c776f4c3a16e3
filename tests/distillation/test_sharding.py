"""Two processes that hold a shard each of both models teach the same student as one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from curate.artifact import sha256_folder
from curate.distillation.distill import distill
from curate.distillation.fsdp_launch import fsdp_launched
from curate.distillation.results import TrainingReport
from curate.distillation.world import join_world
from curate.errors import ConfigError

from .classroom import approve, make_config, make_rows
from .test_world import LAUNCHERS, ROOT, check_both, pair

__all__ = ["pair"]

FSDP2 = ["accelerate.commands.launch", "--config_file", str(ROOT / "examples" / "accelerate" / "fsdp2.yaml")]
ALL = {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1}
CASES = {
    "two batches a step and all terms": {"losses": ALL, "gradient_accumulation": 2},
    "batches with a row for one process only": {"losses": ALL, "batch_tokens": 24, "max_steps": 12},
    "layers computed again": {"losses": ALL, "gradient_checkpointing": True},
    "true answers, examined on the way": {"answers": "answer", "evaluation": {"fraction": 0.15, "every": 3}},
    "low-rank matrices": {"student": {"keep_layers": [0, 2], "lora": {"rank": 2}}, "losses": {"task": 1, "kd": 1}},
    "a cached teacher": {"signals": "cached", "cache_top_k": 32, "losses": {"task": 1, "kd": 1, "feature": 0.5}},
    "a student kept in bf16": {"student": {"keep_layers": [1], "dtype": "bf16"}, "losses": {"task": 1, "kd": 1}},
}


def launch(launcher, command, limit=300):
    return subprocess.run([sys.executable, "-m", *launcher, *command], capture_output=True, text=True, timeout=limit)


@pytest.fixture(scope="module")
def reports(tmp_path_factory, teacher_folder):
    """Every case's reports, alone and in shards, and the folders of the two."""
    cases, found = [], {}
    for number, (name, changes) in enumerate(CASES.items()):
        root = tmp_path_factory.mktemp(f"case{number}")
        room = approve(root, teacher_folder, make_rows(with_answers="answers" in changes))
        config = make_config(**{"epochs": 2, "sharding": "fsdp2"} | changes)
        alone = config.model_copy(update={"sharding": "none"})
        found[name] = distill(room.teacher_ticket, room.dataset_ticket, alone, root=root, out=root / "alone"), root
        cases.append({"root": str(root), "out": str(root / "both"), "config": config.model_dump(mode="json")})
    path = tmp_path_factory.mktemp("cases") / "cases.json"
    path.write_text(json.dumps(cases))
    done = launch(LAUNCHERS["torchrun"], ["-m", "tests.distillation.sharded_cases", str(path)])
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (alone, TrainingReport.read(root / "both" / "training.json"), root) for name, (alone, root) in found.items()}


@pytest.mark.parametrize("name", CASES)
def test_shards_give_what_one_process_gives(reports, name):
    alone, both, root = reports[name]
    assert both.machine["sharding"] == "fsdp2"
    assert (both.steps, both.tokens) == (alone.steps, alone.tokens)
    for ours, theirs in zip(both.curve, alone.curve, strict=True):
        assert ours.total == pytest.approx(theirs.total, rel=1e-3)
        assert ours.terms == pytest.approx(theirs.terms, rel=2e-3, abs=1e-6)
    for stage in ("teacher", "before", "after"):
        ours, theirs = getattr(both, stage), getattr(alone, stage)
        assert ours.perplexity == pytest.approx(theirs.perplexity, rel=0.02)
        assert (ours.accuracy is None) == (theirs.accuracy is None)
    assert len(both.exams) == len(alone.exams)
    assert both.footprints["student"].parameters == alone.footprints["student"].parameters
    assert both.footprints["teacher"].parameters == alone.footprints["teacher"].parameters
    assert both.footprints["teacher"].ms_per_token is None
    student = root / "both" / "student"
    assert both.student_sha256 == sha256_folder(student)
    ours, theirs = (AutoModelForCausalLM.from_pretrained(root / one / "student") for one in ("both", "alone"))
    assert type(ours) is type(theirs)
    assert ours.config.architectures == theirs.config.architectures
    assert {path.name for path in student.iterdir()} == {path.name for path in (root / "alone" / "student").iterdir()}
    pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
    for (key, one), (name, other) in pairs:
        assert key == name
        assert one.dtype == other.dtype
        assert torch.nn.functional.cosine_similarity(one.flatten().float(), other.flatten().float(), dim=0) > 0.999
