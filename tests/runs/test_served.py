"""Runs whose teacher is served by a program that curate starts: told of everywhere, no key anywhere, resumed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from curate.distillation.results import TrainingReport
from curate.errors import RunError, UnavailableError
from curate.runs.statement import make_statement
from curate.runs.verify import verify_run
from tests.cli.test_run_commands import LISTENS
from tests.distillation.stand_in import wait_until
from tests.runs.conftest import EXAMPLES
from tests.runs.small_runs import ANSWER, go, make_run

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
ROOT = Path(__file__).parents[2]


def served(vllm, **serve):
    return {"serve": {"program": str(vllm)} | serve, "max_concurrent_requests": 4}


def test_a_run_starts_its_teacher_and_tells_of_it_everywhere_but_of_no_key(tmp_path, base, cards, vllm, plan):
    plan(says=ANSWER)
    endpoint = served(vllm, arguments=["--max-model-len", 4096])
    folder = go(make_run(base, cards, teacher="org/served", distill={"endpoint": endpoint}), tmp_path / "runs")
    assert verify_run(folder).finished
    assert plan.all_gone()
    (record,) = TrainingReport.read(folder / "training.json").teachers
    (serving,) = record.servings
    assert record.answers == len(plan.seen("asked"))
    assert (serving.program, serving.version, serving.model) == (str(vllm), "0.33.0+stand.in", "org/served")
    assert serving.arguments[-2:] == ("--max-model-len", "4096")
    assert "(started for it: vllm 0.33.0+stand.in)" in (folder / "student" / "README.md").read_text()
    assert "started by curate: vllm 0.33.0+stand.in --served-model-name" in (folder / "report.html").read_text()
    said = make_statement(folder, public_key="")["predicate"]["teacher"]
    assert said["started"] == [serving.model_dump(mode="json")]
    (environ,) = plan.seen("environ")
    assert environ["HF_HUB_OFFLINE"] == "1"
    key = environ["VLLM_API_KEY"].encode()
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert folder / "signals" / "server.log" in files
    assert not [path for path in files if key in path.read_bytes()]


def test_a_run_whose_server_dies_goes_on_without_asking_again(tmp_path, base, cards, vllm, plan):
    plan(says=ANSWER, dies_after=9)
    config = make_run(base, cards, teacher="org/served", distill={"endpoint": served(vllm)})
    with pytest.raises(RunError, match=r"vllm ended \(exit code 3\)"):
        go(config, tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    answered, before = (folder / "signals" / "answers.jsonl").read_text().count('"id": '), len(plan.seen("asked"))
    assert before - 4 <= answered <= before == 9
    plan(says=ANSWER)
    more = served(vllm, arguments=["--gpu-memory-utilization", 0.8])
    config = make_run(base, cards, teacher="org/served", distill={"endpoint": more})
    assert go(config, tmp_path / "runs", resume=folder) == folder
    assert verify_run(folder).finished
    (record,) = TrainingReport.read(folder / "training.json").teachers
    assert len(plan.seen("asked")) - before == record.answers - answered
    assert len(record.servings) == 2


def test_a_program_that_is_missing_is_told_before_anything_is_read(tmp_path, base, cards):
    endpoint = served(tmp_path / "nowhere" / "vllm")
    with pytest.raises(UnavailableError, match="no such executable"):
        go(make_run(base, cards, teacher="org/served", distill={"endpoint": endpoint}), tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert not (folder / "decision.json").exists()


def test_servers_of_several_teachers_run_one_after_the_other(tmp_path, base, cards, vllm, plan):
    plan(says=ANSWER)
    teachers = [{"teacher": name, "endpoint": served(vllm)} for name in ("org/served", "org/other")]
    folder = go(make_run(base, cards, teachers=teachers), tmp_path / "runs")
    assert verify_run(folder).finished
    assert plan.seen("beside") == [0, 0]
    assert [argv[1] for argv in plan.seen("argv")] == ["org/served", "org/other"]
    assert {path.name for path in (folder / "signals").glob("*.log")} == {"server-1.log", "server-2.log"}
    records = TrainingReport.read(folder / "training.json").teachers
    assert [one.servings[0].model for one in records] == ["org/served", "org/other"]


def test_a_hosted_model_is_not_served(tmp_path, base, cards, vllm):
    from curate.errors import CurateError

    with pytest.raises(CurateError, match="api:openai/gpt-4o"):
        go(make_run(base, cards, teacher="api:openai/gpt-4o", distill={"endpoint": served(vllm)}), tmp_path / "runs")


def test_ctrl_c_stops_the_server_and_ends_with_130(tmp_path, base, cards, vllm, plan):
    plan(says=ANSWER, slow=2)
    config = make_run(base, cards, teacher="org/served", distill={"endpoint": served(vllm)}).to_file()
    for key in ("prompts", "reference"):
        config[key] = str(EXAMPLES / config[key])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(config))))
    curate = subprocess.Popen(
        [sys.executable, "-c", LISTENS, "run", "run.yaml", "--root", "runs"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        wait_until(lambda: plan.seen("asked") or curate.poll() is not None, "it never asked")
        time.sleep(0.2)
        curate.send_signal(signal.SIGINT)
        said = curate.communicate(timeout=60)[1]
    finally:
        curate.kill()
        curate.wait()
    assert curate.returncode == 130, said
    assert said.endswith("curate: interrupted\n")
    assert plan.all_gone()
