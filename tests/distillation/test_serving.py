"""A server that curate starts, asks and stops; a stand-in with vLLM's command line takes vLLM's place."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.distillation import guard
from curate.distillation import server as server_module
from curate.distillation.answer_file import AnswerFile
from curate.distillation.config import parse_config
from curate.distillation.faculty import check_route
from curate.distillation.serve_config import OPERATION, ServeConfig, options
from curate.distillation.serving import Served, find_program, what_to_serve
from curate.distillation.teacher_config import EndpointConfig
from curate.errors import ConfigError, RunError, UnavailableError

from .serve_and_ask import COMMIT, REF, serve_and_ask
from .stand_in import LONGEST_S, parent_and_state, wait_until, write_stand_in

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are POSIX")
ROOT = Path(__file__).parents[2]


def test_a_server_is_started_asked_and_stopped(tmp_path, vllm, plan):
    file = serve_and_ask(vllm, tmp_path)
    assert len(file.found) == 20
    assert all(one.text.startswith("about say number") and one.model == REF for one in file.found.values())
    (argv,) = plan.seen("argv")
    port = argv[argv.index("--port") + 1]
    assert argv == [
        "serve", REF, "--revision", COMMIT, "--tokenizer-revision", COMMIT, "--served-model-name", REF,
        "--generation-config", "vllm", "--host", "127.0.0.1", "--port", port,
    ]  # fmt: skip
    assert plan.all_gone()
    assert file.servings == [
        {"program": str(vllm), "version": "0.33.0+stand.in", "model": REF, "revision": COMMIT, "arguments": argv[2:10]}
    ]
    assert AnswerFile(tmp_path / "answers.jsonl", "f" * 64).servings == file.servings


def test_every_start_has_a_key_of_its_own_which_is_written_nowhere(tmp_path, vllm, plan, monkeypatch):
    monkeypatch.setenv("VLLM_API_KEY", "the users own key")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        serve_and_ask(vllm, tmp_path / name, count=2)
    keys = [environ["VLLM_API_KEY"] for environ in plan.seen("environ")]
    assert len({*keys, "the users own key"}) == 3
    assert min(map(len, keys)) >= 32
    for path in (path for name in ("one", "two") for path in (tmp_path / name).iterdir()):
        assert not any(key in path.read_text() for key in keys), path
    assert "with the key ***" in (tmp_path / "one" / "server.log").read_text()


@pytest.mark.parametrize("offline", [True, False])
def test_the_server_stays_offline_where_curate_does(tmp_path, vllm, plan, monkeypatch, offline):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    serve_and_ask(vllm, tmp_path, count=2, offline=offline)
    (environ,) = plan.seen("environ")
    assert environ.get("HF_HUB_OFFLINE", "") == ("1" if offline else "")
    assert environ["VLLM_NO_USAGE_STATS"] == "1"
    assert "WORLD_SIZE" not in environ


def test_arguments_go_through_no_shell(tmp_path, vllm, plan):
    serve_and_ask(vllm, tmp_path, count=1, arguments=["--max-model-len", 4096, "--enforce-eager"])
    assert plan.seen("argv")[0][10:13] == ["--max-model-len", "4096", "--enforce-eager"]
    with pytest.raises(UnavailableError, match=r"unrecognized arguments: --x=\$\(touch here\);"):
        serve_and_ask(vllm, tmp_path, count=1, arguments=["--x=$(touch here);"])


def test_a_server_that_takes_its_time_is_waited_for_and_that_is_said(tmp_path, vllm, plan):
    plan(delay=1.5)
    heard = []
    serve_and_ask(vllm, tmp_path, count=2, progress=lambda *said, **more: heard.append((*said, more)))
    waits = [more["note"] for stage, *_, more in heard if stage == "server"]
    assert any("s, vllm: loading tiny/teacher" in note for note in waits)
    assert waits[-1] == "ready"
    assert not any("\x1b" in note for note in waits)


def test_a_server_that_is_never_ready_is_ended_in_time(tmp_path, vllm, plan):
    plan(never=True)
    with pytest.raises(UnavailableError, match=r"vllm was not ready within 1 s; it said last: loading tiny/teacher"):
        serve_and_ask(vllm, tmp_path, start_timeout=1)
    assert plan.all_gone()


def test_a_server_that_dies_at_the_start_says_why(tmp_path, vllm, plan):
    plan(dies=True)
    with pytest.raises(UnavailableError) as caught:
        serve_and_ask(vllm, tmp_path)
    assert "vllm ended (exit code 1); it said last: loading" in str(caught.value)
    assert "ValueError: Free memory on device cuda:0 is less than desired" in str(caught.value)
    assert str(tmp_path / "server.log") in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert caught.value.exit_code == 6
    assert AnswerFile(tmp_path / "answers.jsonl", "f" * 64).servings == []


def test_what_an_earlier_start_said_is_not_told_of_a_later_one(tmp_path, vllm, plan):
    plan(dies=True)
    with pytest.raises(UnavailableError):
        serve_and_ask(vllm, tmp_path)
    plan(never=True)
    with pytest.raises(UnavailableError) as caught:
        serve_and_ask(vllm, tmp_path, start_timeout=1)
    assert "ValueError" not in str(caught.value)
    assert "ValueError" in (tmp_path / "server.log").read_text()


def test_a_server_that_dies_in_the_middle_is_told_at_once_and_no_answer_is_asked_for_again(tmp_path, vllm, plan):
    plan(dies_after=7)
    with pytest.raises(RunError, match=r"vllm ended \(exit code 3\); it said last: .*CUDA error.*then resume"):
        serve_and_ask(vllm, tmp_path)
    answered = len(AnswerFile(tmp_path / "answers.jsonl", "f" * 64).found)
    assert 7 - 2 < answered <= 7 == len(plan.seen("asked"))
    plan()
    file = serve_and_ask(vllm, tmp_path)
    assert len(file.found) == 20
    assert len(plan.seen("asked")) == 7 + 20 - answered
    assert len(file.servings) == 2


def test_a_server_that_ignores_being_asked_to_end_is_killed_and_so_is_what_it_started(
    tmp_path, vllm, plan, monkeypatch
):
    plan(stubborn=True, child=True)
    monkeypatch.setattr(server_module, "GRACE_S", 0.5)
    serve_and_ask(vllm, tmp_path, count=2)
    assert len(plan.seen("child")) == 1
    assert plan.all_gone()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells who listens")
def test_somebody_else_who_took_the_port_is_told_nothing(tmp_path, vllm, plan, monkeypatch):
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with pytest.raises(UnavailableError, match=r"port \d+ was taken by another user while vllm was starting"):
        serve_and_ask(vllm, tmp_path)
    assert plan.seen("asked") == []
    assert plan.all_gone()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells who listens")
def test_who_listens_on_a_port_is_known():
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        assert server_module.listeners(listening.getsockname()[1]) == {os.geteuid()}
        assert server_module.listeners(silent.getsockname()[1]) == set()


def test_a_server_is_stopped_where_the_asking_breaks(tmp_path, vllm, plan):
    with pytest.raises(RunError, match="tokens are spent"):
        serve_and_ask(vllm, tmp_path, settings={"token_budget": 100})
    assert plan.all_gone()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=str)
@pytest.mark.parametrize("moment", ["while it loads", "while it answers"])
def test_a_server_does_not_outlive_curate(tmp_path, vllm, plan, number, moment):
    plan(stubborn=True, child=True, slow=0.5, never=moment == "while it loads")
    with (tmp_path / "said").open("wb") as said:
        curate = subprocess.Popen(
            [sys.executable, "-m", "tests.distillation.serve_and_ask", str(vllm), str(tmp_path)],
            cwd=ROOT, stdout=said, stderr=said, env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        wait_until(lambda: plan.seen("child" if moment == "while it loads" else "asked"), "it never came up")
        curate.send_signal(number)
        assert curate.wait(LONGEST_S) != 0
    finally:
        curate.kill()
        curate.wait()
    wait_until(lambda: plan.all_gone(), "the server lives on")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process of its parent's death")
def test_a_server_does_not_outlive_its_guard(tmp_path, vllm, plan):
    plan(never=True)
    heard = []

    def kill_the_guard(stage, done, total=None, note=""):
        if plan.seen("pid") and not heard:
            heard.append(note)
            os.kill(parent_and_state(plan.seen("pid")[0])[0], signal.SIGKILL)

    with pytest.raises(UnavailableError, match=r"vllm ended \(with its guard\)"):
        serve_and_ask(vllm, tmp_path, progress=kill_the_guard)
    wait_until(lambda: plan.all_gone(), "the server lives on")


def test_the_log_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(guard, "LARGEST_LOG", 1000)
    log = guard.Log(tmp_path / "server.log", "secret")
    for number in range(300):
        log.write(f"line {number} sec".encode())
        log.write(b"ret\rdone")
        log.write(b"\n")
    log.write(b"the last")
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sorted(sizes) == ["server.log", "server.log.1"]
    assert max(sizes.values()) <= 1000
    written = (tmp_path / "server.log").read_text()
    assert written.endswith("line 299 ***\ndone\nthe last\n")
    assert "secret" not in written


def test_a_line_that_never_ends_is_written_in_pieces(tmp_path):
    log = guard.Log(tmp_path / "server.log", "")
    for _ in range(3):
        log.write(b"x" * guard.LONGEST_LINE)
    assert len(log.rest) <= guard.LONGEST_LINE
    log.close()


def test_a_program_that_is_not_there_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnavailableError, match="vllm is not on PATH – install vLLM in an environment of its own"):
        find_program(ServeConfig())
    with pytest.raises(UnavailableError, match="no such executable"):
        find_program(ServeConfig(program="bin/vllm"), tmp_path)
    with pytest.raises(UnavailableError, match="no such executable"):
        find_program(ServeConfig(program="~nobody-of-that-name/bin/vllm"), tmp_path)
    vllm = write_stand_in(tmp_path / "bin")
    assert find_program(ServeConfig(program="bin/vllm"), tmp_path) == str(vllm)
    monkeypatch.setenv("PATH", str(vllm.parent))
    assert find_program(ServeConfig()) == str(vllm)
    vllm.chmod(0o644)
    with pytest.raises(UnavailableError, match="no such executable"):
        find_program(ServeConfig(program=str(vllm)))


def test_a_system_without_process_groups_is_told_so(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        with pytest.raises(UnavailableError, match="needs a POSIX system"):
            find_program(ServeConfig())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("#!/nowhere/python\n", "--version: .*No such file"),
        (f"#!{sys.executable} -IS\nraise SystemExit('no torch here')\n", "ended with exit code 1: no torch here"),
    ],
)
def test_a_program_that_cannot_be_run_is_found_before_the_wait(tmp_path, source, said):
    path = write_stand_in(tmp_path / "bin")
    path.write_text(source)
    with pytest.raises(UnavailableError, match=said):
        serve_and_ask(path, tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "give base_url"),
        ({"base_url": "http://127.0.0.1:8000/v1", "serve": {}}, "give base_url"),
        ({"serve": {}, "model": "alias"}, "for a server that is there"),
        ({"serve": {}, "api_key_env": "KEY"}, "for a server that is there"),
        ({"serve": {"arguments": ["--host=0.0.0.0"]}}, "--host is set by curate"),
        ({"serve": {"arguments": ["--rev", "main"]}}, "--rev is set by curate"),
        ({"serve": {"arguments": ["--served_model_name", "x"]}}, "--served-model-name is set by curate"),
        ({"serve": {"arguments": ["--api-key", "sk-hidden"]}}, "--api-key is set by curate"),
        ({"serve": {"arguments": ["--speculative-config.model", "a/b"]}}, "is set by curate"),
        ({"serve": {"arguments": ["--trust-remote-code"]}}, "runs code that nobody judged"),
        ({"serve": {"arguments": ["other/model"]}}, "the first word is no option"),
        ({"serve": {"arguments": ["--x", "a\nb"]}}, "control character"),
        ({"serve": {"program": ""}}, "endpoint.serve.program"),
        ({"serve": {"start_timeout": 0}}, "endpoint.serve.start_timeout"),
        ({"serve": {"port": 8000}}, "endpoint.serve.port"),
    ],
)
def test_a_server_that_would_serve_something_else_is_refused(settings, said):
    with pytest.raises(ConfigError, match=said) as caught:
        parse_config({"endpoint": settings})
    assert "sk-hidden" not in str(caught.value)


def test_the_weights_on_the_ticket_are_served_and_no_others(tmp_path, monkeypatch, classroom):
    monkeypatch.chdir(tmp_path)
    local = classroom.teacher_ticket
    assert what_to_serve(local, REF) == Served(local.location, "", REF)
    hub = local.model_copy(update={"location": "", "content_sha256": "", "revision": COMMIT})
    assert what_to_serve(hub, REF) == Served(REF, COMMIT, REF)
    (tmp_path / REF).mkdir(parents=True)
    with pytest.raises(ConfigError, match="is a folder here, and the ticket is for the hub's model"):
        what_to_serve(hub, REF)
    own = what_to_serve(hub.model_copy(update={"ref": "embedded", "revision": ""}), "embedded")
    assert (Path(own.model) / "config.json").is_file()


def test_a_hosted_model_is_not_served():
    with pytest.raises(ConfigError, match="no weights to serve"):
        check_route("api:openai/gpt-4o", True, EndpointConfig(serve=ServeConfig()))
    check_route("tiny/teacher", False, EndpointConfig(serve=ServeConfig()))


def test_an_argument_that_may_change_answers_makes_another_teacher():
    def teaches(*arguments):
        return parse_config({"endpoint": {"serve": {"arguments": arguments}}}).what_teaches()

    by_hand = parse_config({"endpoint": {"base_url": "http://127.0.0.1:8000/v1"}}).what_teaches()
    assert teaches() == by_hand
    assert teaches("--gpu-memory-utilization", 0.8, "-tp=2", "--max_num_seqs=8", "--enforce-eager") == by_hand
    assert teaches("--quantization", "fp8", "-tp", 2)["endpoint"]["serve"] == ["--quantization", "fp8"]


@given(st.lists(st.sampled_from(["--dtype", "half", "--x=1", "-tp", "2", "-1", "--max_num_seqs", "a b", "--y.z"])))
def test_no_word_of_a_command_line_is_lost_when_it_is_cut_into_options(words):
    cut = list(options(tuple(words)))
    assert [word for _, found in cut for word in found] == words
    decisive = ServeConfig.model_construct(arguments=tuple(words)).decisive()
    assert decisive == [word for name, found in cut if name not in OPERATION for word in found]
