"""Two processes teach the same student as one."""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from curate.distillation.batches import Encoder, collate
from curate.distillation.distill import distill
from curate.distillation.results import TrainingReport
from curate.distillation.stack import count_examples
from curate.distillation.world import World, choose_device, join_world
from curate.errors import ConfigError
from tests.distillation.counting import count_totals

from .classroom import QUESTIONS, make_config

ROOT = Path(__file__).parent.parent.parent
LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
    "accelerate": ["accelerate.commands.launch", "--config_file", str(ROOT / "examples" / "accelerate" / "cpu.yaml")],
    "accelerate --cpu": ["accelerate.commands.launch", "--num_processes", "2", "--cpu"],
}

NODES = {
    "torchrun": [
        "torch.distributed.run",
        *("--nnodes", "2", "--node_rank", "RANK", "--nproc_per_node", "1"),
        *("--master_addr", "127.0.0.1", "--master_port", "PORT"),
    ],
    "accelerate": [
        *LAUNCHERS["accelerate"],
        *("--num_machines", "2", "--num_processes", "2", "--machine_rank", "RANK"),
        *("--main_process_ip", "127.0.0.1", "--main_process_port", "PORT"),
    ],
    "accelerate --cpu": [
        *LAUNCHERS["accelerate --cpu"],
        *("--num_machines", "2", "--machine_rank", "RANK"),
        *("--main_process_ip", "127.0.0.1", "--main_process_port", "PORT"),
    ],
    "accelerate, in shards": [
        *("accelerate.commands.launch", "--config_file", str(ROOT / "examples" / "accelerate" / "fsdp2.yaml")),
        *("--num_machines", "2", "--num_processes", "2", "--machine_rank", "RANK"),
        *("--main_process_ip", "127.0.0.1", "--main_process_port", "PORT"),
    ],
}
"""One node's line; two of them stand for two machines on the loopback."""


@pytest.fixture
def pair(classroom):
    """One process's report, and what two processes are told that are to find the same."""
    losses = {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1, "balance": "auto"}
    config = make_config(losses=losses, epochs=2, gradient_accumulation=2, checkpoint_every=3)
    alone = distill(
        classroom.teacher_ticket, classroom.dataset_ticket, config, root=classroom.root, out=classroom.root / "alone"
    )
    path, out = classroom.root / "config.yaml", classroom.root / "both"
    path.write_text(json.dumps(config.model_dump(mode="json")))
    tickets = ["--teacher", str(classroom.root / "teacher.json"), "--dataset", str(classroom.root / "dataset.json")]
    return alone, out, ["-m", "curate", "distill", str(path), *tickets, "-o", str(out)]


def check_both(alone, out):
    """Two processes' report against one's."""
    both = TrainingReport.read(out / "training.json")
    assert both.machine["processes"] == "2"
    assert both.tokens == alone.tokens
    assert len(both.curve) == len(alone.curve) > 3
    for ours, theirs in zip(both.curve, alone.curve, strict=True):
        assert ours.total == pytest.approx(theirs.total, rel=1e-4)
        assert ours.terms == pytest.approx(theirs.terms, rel=1e-3)
    assert both.balance == pytest.approx(alone.balance, rel=1e-3)
    assert both.after.kl_to_teacher == pytest.approx(alone.after.kl_to_teacher, rel=0.02)
    return both


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_give_the_losses_of_one(pair, launcher):
    alone, out, command = pair
    done = subprocess.run(
        [sys.executable, "-m", *LAUNCHERS[launcher], *command], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    check_both(alone, out)


def run_nodes(line, commands, limit=180):
    """One node a command, of one process each: their exit codes and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    line = [sys.executable, "-m", *(part.replace("PORT", port) for part in line)]
    nodes = [
        subprocess.Popen(
            [*(part.replace("RANK", str(rank)) for part in line), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, command in enumerate(commands)
    ]
    try:
        told = [node.communicate(timeout=limit)[0] for node in nodes]
    finally:
        for node in nodes:
            node.kill()
            node.wait()
    return [node.returncode for node in nodes], told


@pytest.mark.parametrize("launcher", NODES)
def test_two_nodes_of_one_process_each_give_the_losses_of_one(pair, launcher):
    alone, out, command = pair
    codes, told = run_nodes(NODES[launcher], [command, command])
    assert codes == [0, 0], told
    check_both(alone, out)


def test_two_nodes_with_two_output_folders_stop_with_one_line_each(classroom):
    (classroom.root / "config.yaml").write_text(json.dumps(make_config().model_dump(mode="json")))
    tickets = ["--teacher", str(classroom.root / "teacher.json"), "--dataset", str(classroom.root / "dataset.json")]
    command = ["-m", "curate", "distill", str(classroom.root / "config.yaml"), *tickets, "-o"]
    outs = [classroom.root / "here", classroom.root / "there"]
    started = time.monotonic()
    codes, told = run_nodes(NODES["torchrun"], [[*command, str(out)] for out in outs], limit=100)
    assert time.monotonic() - started < 60
    assert 0 not in codes
    for out, text in zip(outs, told, strict=True):
        [line] = [line for line in text.splitlines() if "does not see" in line]
        assert f"{out}: process 1 of 2" in line
        assert "a disk that all machines share" in line
        assert not out.exists() or not list(out.iterdir())


def test_deepspeed_is_refused(monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_DEEPSPEED", "true")
    with pytest.raises(ConfigError, match="DeepSpeed is asked for"):
        join_world()


def test_a_cpu_that_was_asked_for_is_used_beside_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device() == "cuda"
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    assert choose_device() == "cpu"


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_example_launches_are_ones_accelerate_reads(path):
    from accelerate.commands.config.config_args import load_config_from_file

    settings = load_config_from_file(str(path))
    assert settings.num_processes == 2
    assert settings.distributed_type == ("FSDP" if path.stem == "fsdp2" else "MULTI_GPU")


def test_every_row_belongs_to_one_process():
    rows = [5, 3, 8, 1, 9]
    shares = [World(rank, 3).share(rows) for rank in range(3)]
    assert sorted(row for share in shares for row in share) == sorted(rows)
    assert World(2, 3).share([4, 6]) == []


def test_counts_are_the_same_before_and_after_a_batch_is_made(tokenizer):
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    examples = encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))
    assert count_examples(examples) == count_totals([collate(examples, 0)])
