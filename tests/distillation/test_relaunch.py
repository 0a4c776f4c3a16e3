"""The one process that accelerate starts on CPUs starts those that were asked for."""

import os
import signal
import subprocess
import sys
import time

import pytest

from curate.distillation import relaunch
from curate.distillation.relaunch import Launch, become_several, find_arguments, read_launch
from curate.errors import ConfigError

FILE = """\
compute_environment: LOCAL_MACHINE
distributed_type: 'NO'
use_cpu: true
mixed_precision: 'no'
num_machines: 1
num_processes: 3
machine_rank: 0
"""
SCRIPT = """\
import os, sys, time
from pathlib import Path
from curate.distillation.relaunch import become_several
Path("rank" + os.environ.get("RANK", "less")).write_text(str(os.getpid()))
become_several("cpu")
Path("rank" + os.environ["RANK"] + ".up").touch()
"""


@pytest.fixture
def launched(monkeypatch):
    """What accelerate leaves to the one process that it starts."""
    monkeypatch.setenv("ACCELERATE_USE_CPU", "True")
    monkeypatch.setenv("MASTER_PORT", "29500")
    for name in relaunch.ALREADY:
        monkeypatch.delenv(name, raising=False)


def start(folder, script, *options):
    """A script under ``accelerate launch``."""
    (folder / "script.py").write_text(script)
    line = [sys.executable, "-m", "accelerate.commands.launch", *options, "script.py"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        line, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize(
    "command",
    [
        ["/env/bin/python3.11", "/env/bin/accelerate", "launch", "--cpu", "-m", "curate"],
        ["/env/bin/python3.11", "-X", "utf8", "/env/bin/accelerate-launch", "--cpu", "-m", "curate"],
        ["accelerate.exe", "launch", "--cpu", "-m", "curate"],
        ["python", "-m", "accelerate.commands.launch", "--cpu", "-m", "curate"],
        ["python", "-m", "accelerate.commands.accelerate_cli", "launch", "--cpu", "-m", "curate"],
    ],
)
def test_every_way_to_call_accelerates_launcher_is_known(command):
    assert find_arguments(command) == ["--cpu", "-m", "curate"]


@pytest.mark.parametrize(
    "command",
    [["bash", "-c", "accelerate launch --cpu x"], ["python", "/bin/accelerate", "config"], ["accelerate"], []],
)
def test_another_command_is_not_taken_for_the_launcher(command):
    assert find_arguments(command) is None


@pytest.mark.parametrize(
    "line", ["--num_processes 2 --cpu x.py", "--cpu --num-processes=2 -m curate --num_processes 7"]
)
def test_the_count_is_that_of_the_launcher_and_not_of_what_it_launches(tmp_path, line):
    assert read_launch(line.split(), tmp_path) == Launch(2, port=29500)


def test_a_config_file_that_names_no_distribution_tells_the_count(tmp_path):
    (tmp_path / "cpu.yaml").write_text(FILE)
    assert read_launch(["--config_file", "cpu.yaml", "x.py"], tmp_path) == Launch(3, port=29500)
    assert read_launch(["--config_file", "cpu.yaml", "--num_processes", "2", "x.py"], tmp_path).processes == 2


def test_a_launch_that_leaves_the_count_open_names_none(tmp_path, monkeypatch):
    monkeypatch.setattr("accelerate.commands.config.default_config_file", str(tmp_path / "none.yaml"))
    assert read_launch(["--cpu", "x.py"], tmp_path).processes is None


def test_machines_are_told_to_torchs_launcher():
    told = Launch(4, machines=2, rank=1, address="10.0.0.1", port=29501).options()
    assert told[:6] == ["--nnodes", "2", "--node_rank", "1", "--nproc_per_node", "2"]
    assert told[6:] == ["--master_addr", "10.0.0.1", "--master_port", "29501"]


@pytest.mark.parametrize("processes", [1, 3])
def test_processes_that_machines_cannot_share_evenly_are_refused(processes):
    with pytest.raises(ConfigError, match=f"{processes} processes on 2 machines"):
        Launch(processes, machines=2, address="10.0.0.1").options()


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize("found", [None, Launch(None)])
def test_a_count_that_is_not_to_be_found_is_refused_with_the_line_that_works(monkeypatch, found):
    monkeypatch.setattr(relaunch, "find_launch", lambda: found)
    with pytest.raises(ConfigError, match=r"not to be found out – launch with .*cpu\.yaml"):
        become_several("cpu")


@pytest.mark.usefixtures("launched")
def test_without_a_launcher_above_the_count_is_not_found():
    assert relaunch.find_launch() is None


@pytest.mark.usefixtures("launched")
def test_more_processes_than_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(relaunch, "find_launch", lambda: Launch(2))
    with pytest.raises(ConfigError, match="for want of GPUs"):
        become_several("cuda")


@pytest.mark.usefixtures("launched")
def test_one_process_that_was_asked_for_is_one(monkeypatch):
    monkeypatch.setattr(relaunch, "find_launch", lambda: Launch(1))
    assert become_several("cpu") is None


@pytest.mark.usefixtures("launched")
@pytest.mark.parametrize("found", [None, Launch(None), Launch(2), Launch(1, machines=2)])
def test_what_one_process_writes_is_refused_where_several_were_asked_for(monkeypatch, found):
    monkeypatch.setattr(relaunch, "find_launch", lambda: found)
    with pytest.raises(ConfigError, match="a run is written by one process"):
        relaunch.refuse_several("a run")
    monkeypatch.setattr(relaunch, "find_launch", lambda: Launch(1))
    assert relaunch.refuse_several("a run") is None


@pytest.mark.usefixtures("launched")
def test_a_process_that_a_launcher_has_counted_starts_no_others(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(relaunch, "find_launch", lambda: pytest.fail("asked"))
    assert become_several("cpu") is None


def test_a_config_files_count_is_started_and_the_first_process_goes_no_further(tmp_path):
    (tmp_path / "cpu.yaml").write_text(FILE)
    process = start(tmp_path, SCRIPT, "--config_file", "cpu.yaml")
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 0, told
    assert sorted(path.stem for path in tmp_path.glob("*.up")) == ["rank0", "rank1", "rank2"]
    assert (tmp_path / "rankless").exists()  # the one that accelerate started


def test_an_exit_code_reaches_the_launcher(tmp_path):
    process = start(tmp_path, SCRIPT + "sys.exit(5)", "--cpu", "--num_processes", "2")
    told = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert "returned non-zero exit status 5" in told  # accelerate's own words about the process that it started


def test_ctrl_c_reaches_every_process(tmp_path):
    process = start(tmp_path, SCRIPT + "time.sleep(300)", "--cpu", "--num_processes", "2")
    until = time.monotonic() + 120
    while len(list(tmp_path.glob("*.up"))) < 2:
        assert time.monotonic() < until
        time.sleep(0.1)
    os.kill(int((tmp_path / "rankless").read_text()), signal.SIGINT)
    told = process.communicate(timeout=120)[0]
    assert "KeyboardInterrupt" in told
    for path in tmp_path.glob("rank?"):
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
