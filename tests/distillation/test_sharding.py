"""Two processes that hold a shard each of both models teach the same student as one process."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch

from curate.artifact import sha256_folder
from curate.distillation.admission import preflight
from curate.distillation.distill import distill
from curate.distillation.fsdp_launch import fsdp_launched
from curate.distillation.loading import load_model
from curate.distillation.results import TrainingReport
from curate.distillation.world import join_world
from curate.errors import ConfigError

from .classroom import approve, make_config, make_rows
from .test_seq2seq import FAMILIES
from .test_world import LAUNCHERS, ROOT, check_both, pair

__all__ = ["pair"]

FSDP2 = ["accelerate.commands.launch", "--config_file", str(ROOT / "examples" / "accelerate" / "fsdp2.yaml")]
ALL = {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1}
CASES = {
    "two batches a step and all terms": {"losses": ALL, "gradient_accumulation": 2},
    "batches with a row for one process only": {"losses": ALL, "batch_tokens": 14, "max_steps": 12},
    "layers computed again": {"losses": ALL, "gradient_checkpointing": True},
    "true answers, examined on the way": {"answers": "answer", "evaluation": {"fraction": 0.15, "every": 3}},
    "low-rank matrices": {"student": {"keep_layers": [0, 2], "lora": {"rank": 2}}, "losses": {"task": 1, "kd": 1}},
    "a cached teacher": {"signals": "cached", "cache_top_k": 32, "losses": {"task": 1, "kd": 1, "feature": 0.5}},
    "an encoder, one matrix": {"losses": ALL, "answers": "answer"},
    "an encoder, and a head of its own": {"losses": ALL, "answers": "answer"},
    "a bias on the logits": {"losses": ALL, "answers": "answer"},
    "a student kept in bf16": {"student": {"keep_layers": [1], "dtype": "bf16"}, "losses": {"task": 1, "kd": 1}},
}
TEACHERS = dict(zip(list(CASES)[-4:-1], FAMILIES.values(), strict=True))
"""With another teacher than Llama, untrained."""


def launch(launcher, command, limit=300):
    done = subprocess.run([sys.executable, "-m", *launcher, *command], capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0, done.stdout + done.stderr


def save(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def reports(tmp_path_factory, teacher_folder, tokenizer):
    """Every case's reports, alone and in shards, and the folders of the two."""
    cases, found = [], {}
    for number, (name, changes) in enumerate(CASES.items()):
        root = tmp_path_factory.mktemp(f"case{number}")
        folder = teacher_folder if name not in TEACHERS else save(TEACHERS[name](), tokenizer, root / "teacher")
        room = approve(root, folder, make_rows(with_answers="answers" in changes))
        config = make_config(**{"epochs": 2, "sharding": "fsdp2"} | changes)
        alone = config.model_copy(update={"sharding": "none"})
        found[name] = distill(room.teacher_ticket, room.dataset_ticket, alone, root=root, out=root / "alone"), root
        cases.append({"root": str(root), "out": str(root / "both"), "config": config.model_dump(mode="json")})
    path = tmp_path_factory.mktemp("cases") / "cases.json"
    path.write_text(json.dumps(cases))
    launch(LAUNCHERS["torchrun"], ["-m", "tests.distillation.sharded_cases", str(path)])
    return {
        name: (alone, TrainingReport.read(root / "both" / "training.json"), root)
        for name, (alone, root) in found.items()
    }


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
    ours, theirs = (load_model(str(root / one / "student"))[0] for one in ("both", "alone"))
    assert type(ours) is type(theirs)
    assert ours.config.architectures == theirs.config.architectures
    assert {path.name for path in student.iterdir()} == {path.name for path in (root / "alone" / "student").iterdir()}
    pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
    for (key, one), (same, other) in pairs:
        assert key == same
        assert one.dtype == other.dtype
        one, other = one.float(), other.float()
        if one.ndim > 1:
            assert torch.nn.functional.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.999
        else:  # no softmax sees a bias on keys: its gradient is rounding, and Adam steps by it
            torch.testing.assert_close(one, other, rtol=1e-2, atol=3e-3)


def test_a_training_in_shards_that_was_killed_goes_on_in_shards_or_alone(pair):
    alone, out, command = pair
    launch(FSDP2, command)
    whole = check_both(alone, out)
    killed, goes_on = out.with_name("killed"), out.with_name("goes-on")
    start_and_kill([*command[:-1], str(killed)], killed / "checkpoints")
    shutil.copytree(killed, goes_on)
    launch(FSDP2, [*command[:-2], "--resume", str(killed)])
    resumed = TrainingReport.read(killed / "training.json")
    assert [(point.total, point.terms) for point in resumed.curve] == [(p.total, p.terms) for p in whole.curve]
    assert resumed.student_sha256 == whole.student_sha256
    launch([], [*command[1:-2], "--resume", str(goes_on)])
    by_one = TrainingReport.read(goes_on / "training.json")
    assert "processes" not in by_one.machine
    assert [point.total for point in by_one.curve] == pytest.approx([point.total for point in alone.curve], rel=1e-4)


def start_and_kill(command, checkpoints):
    """Let a training get as far as a checkpoint, and kill all its processes at once."""
    child = subprocess.Popen(
        [sys.executable, "-m", *FSDP2, *command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 200
    while not list(checkpoints.glob("step-*.safetensors")):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.002)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not (checkpoints.parent / "training.json").exists()


def test_a_launch_with_what_would_not_happen_is_refused(monkeypatch):
    assert not fsdp_launched()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ConfigError, match="FSDP version 1"):
        fsdp_launched()
    monkeypatch.setenv("FSDP_VERSION", "2")
    assert fsdp_launched()
    for name, value in (
        ("FSDP_OFFLOAD_PARAMS", "true"),
        ("FSDP_ACTIVATION_CHECKPOINTING", "true"),
        ("FSDP_RESHARD_AFTER_FORWARD", "false"),
        ("FSDP_AUTO_WRAP_POLICY", "SIZE_BASED_WRAP"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            with pytest.raises(ConfigError, match=name.lower()):
                fsdp_launched()


def test_one_process_has_nobody_to_share_with():
    with pytest.raises(ConfigError, match="one process has nobody to share weights with"):
        join_world("fsdp2")


def test_sharding_is_no_part_of_what_teaches():
    assert make_config(sharding="fsdp2").what_teaches() == make_config().what_teaches()


@pytest.mark.parametrize("how", ["config", "launch"])
def test_compiled_layers_in_shards_are_refused(monkeypatch, how):
    if how == "launch":
        monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
        monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(ConfigError, match="layers in shards are not compiled"):
        preflight(make_config(compile=True, sharding="fsdp2" if how == "config" else "none"))
