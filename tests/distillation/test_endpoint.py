"""A teacher behind a server that misbehaves: every answer once, none lost, none paid twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.distillation import endpoint as endpoint_module
from curate.distillation.answer_file import Answer, AnswerFile
from curate.distillation.chat import Decoding, TryAgain, read_reply, retry_after, same_model
from curate.distillation.config import parse_config
from curate.distillation.throttle import Budget, Throttle
from curate.errors import ConfigError, Denied, NeedsReview, RunError, UnavailableError

from .asking import COUNT, IN_FLIGHT, ask, prompts
from .chat_server import ChatServer

ROOT = Path(__file__).parents[2]
MISHAPS = ("throttle", "error", "stall", "drop", "half", "truncated", "nonsense", "unfinished")
UNPAID = ("throttle", "error", "drop")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(endpoint_module, "FIRST_WAIT_S", 0.02)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()[1:]]


def test_every_answer_comes_once_from_a_server_that_fails_in_every_way(tmp_path):
    ids, texts = prompts()
    mishaps = {text: [MISHAPS[n % len(MISHAPS)], MISHAPS[(n // 2) % len(MISHAPS)]] for n, text in enumerate(texts)}
    with ChatServer(mishaps=mishaps) as server:
        answers, file = ask(server.url, tmp_path / "a.jsonl")
        again, _ = ask(server.url, tmp_path / "a.jsonl")
    assert {name: one.text for name, one in answers.items()} == {
        name: f"about {text}." for name, text in zip(ids, texts, strict=True)
    }
    assert again == answers
    assert sum(server.asked.values()) == 3 * COUNT  # two mishaps and an answer each; the second call asked nothing
    assert set(server.served.values()) == {1}
    told = [row for row in lines(tmp_path / "a.jsonl") if "id" in row]
    assert sorted(row["id"] for row in told) == sorted(ids)
    assert file.lost_tokens > 0


@pytest.mark.parametrize("mishap", MISHAPS)
def test_each_mishap_alone_costs_one_more_try(tmp_path, mishap):
    with ChatServer(mishaps={"say number 1": [mishap]}) as server:
        answers, file = ask(server.url, tmp_path / "a.jsonl", count=3)
    assert server.asked == {"say number 0": 1, "say number 1": 2, "say number 2": 1}
    assert answers["q1"].text == "about say number 1."
    if mishap in {"throttle", "error"}:
        assert file.lost_tokens == 0
    if mishap in {"half", "truncated", "nonsense", "unfinished", "stall"}:
        assert file.lost_tokens > 0


def test_a_killed_process_pays_again_for_no_answer_that_was_written(tmp_path):
    path = tmp_path / "a.jsonl"
    with ChatServer(delay=0.02) as server:
        command = [sys.executable, "-m", "tests.distillation.asking", server.url, str(path)]
        child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
        deadline = time.monotonic() + 60
        while not path.exists() or len(path.read_bytes().splitlines()) < 12:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait()
        written = {row["id"] for row in map(json.loads, path.read_bytes().split(b"\n")[1:-1])}
        assert 11 <= len(written) < COUNT
        with path.open("ab") as stream:
            stream.write(b'{"id": "q59", "answer": "tor')  # as if the kill had torn a line
        answers, _ = ask(server.url, path)
    ids, texts = prompts()
    assert sorted(answers) == sorted(ids)
    assert all(answers[name].text == f"about {text}." for name, text in zip(ids, texts, strict=True))
    paid_twice = [text for text, count in server.served.items() if count > 1]
    assert len(paid_twice) <= IN_FLIGHT  # those under way when the process died; the server knows them by their key
    assert not {texts.index(text) for text in paid_twice} & {ids.index(name) for name in written}
    keys = {}
    for body, headers in zip(server.bodies, server.headers, strict=True):
        keys.setdefault(body["messages"][0]["content"], set()).add(headers["idempotency-key"])
    assert {len(found) for found in keys.values()} == {1}
    assert len({next(iter(found)) for found in keys.values()}) == COUNT


def test_many_requests_are_in_flight_and_no_more_than_asked_for(tmp_path):
    with ChatServer(delay=0.1) as server:
        ask(server.url, tmp_path / "a.jsonl", count=32, max_concurrent_requests=8)
    assert server.most_active == 8


def test_a_server_that_asks_for_a_pause_gets_it_from_everybody(tmp_path):
    with ChatServer(mishaps={"say number 0": ["throttle"]}) as server:
        ask(server.url, tmp_path / "a.jsonl", count=40, max_concurrent_requests=1)
    assert server.times[1] - server.times[0] >= 0.3


def test_a_request_says_how_the_answer_is_to_be_made(tmp_path):
    with ChatServer() as server:
        answers, _ = ask(server.url, tmp_path / "a.jsonl", count=1, temperature=0.5, top_p=0.9, max_tokens=33)
    body = server.bodies[0]
    assert body.pop("messages") == [{"role": "user", "content": "say number 0"}]
    assert body == {
        "model": "tiny/teacher", "max_tokens": 33, "temperature": 0.5, "top_p": 0.9, "seed": 5, "n": 1, "stream": False
    }  # fmt: skip
    assert answers["q0"].model == "tiny/teacher"
    assert (answers["q0"].prompt_tokens, answers["q0"].completion_tokens) == (3, 4)


def test_a_cut_answer_and_a_filtered_one_are_paid_and_known_as_such(tmp_path):
    with ChatServer(mishaps={"say number 0": ["length"], "say number 1": ["filtered"]}) as server:
        answers, _ = ask(server.url, tmp_path / "a.jsonl", count=3)
        assert ask(server.url, tmp_path / "a.jsonl", count=3)[0] == answers
    assert [answers[f"q{n}"].finish for n in range(3)] == ["length", "content_filter", "stop"]
    assert sum(server.asked.values()) == 3


def test_a_prompt_the_server_will_never_answer_is_asked_once(tmp_path):
    with ChatServer(mishaps={"say number 1": ["refuse"] * 9}) as server:
        answers, _ = ask(server.url, tmp_path / "a.jsonl", count=3)
        ask(server.url, tmp_path / "a.jsonl", count=3)
    assert answers["q1"].finish == "error"
    assert "maximum context length" in answers["q1"].why
    assert server.asked["say number 1"] == 1


def test_a_server_that_refuses_everything_stops_the_asking(tmp_path):
    mishaps = {text: ["refuse"] * 9 for text in prompts()[1]}
    with ChatServer(mishaps=mishaps) as server, pytest.raises(ConfigError, match="were all refused"):
        ask(server.url, tmp_path / "a.jsonl")
    assert sum(server.asked.values()) < 8 + 2 * IN_FLIGHT
    assert lines(tmp_path / "a.jsonl") == []  # the fault may lie in the settings: with others they are asked again


def test_a_few_refusals_and_nothing_else_are_written_down(tmp_path):
    with ChatServer(mishaps={text: ["refuse"] for text in prompts()[1]}) as server:
        answers, _ = ask(server.url, tmp_path / "a.jsonl", count=3)
    assert [one.finish for one in answers.values()] == ["error"] * 3
    assert len(lines(tmp_path / "a.jsonl")) == 3


def test_a_prompt_that_fails_on_every_try_ends_the_asking_and_keeps_the_rest(tmp_path):
    with ChatServer(mishaps={"say number 5": ["error"] * 99}) as server:
        with pytest.raises(RunError, match=r"prompt q5 failed 3 times.*something broke"):
            ask(server.url, tmp_path / "a.jsonl", count=12, max_retries=2)
        kept = {row["id"] for row in lines(tmp_path / "a.jsonl")}
        assert kept
        assert "q5" not in kept
        server.mishaps.clear()
        ask(server.url, tmp_path / "a.jsonl", count=12)
    assert set(server.served.values()) == {1}


def test_a_budget_stops_before_it_is_overdrawn_and_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "a.jsonl"
    with ChatServer() as server:
        with pytest.raises(RunError, match=r"tokens are spent.*prompts are answered") as caught:
            ask(server.url, path, token_budget=200)
        assert caught.value.exit_code == 8
        file = AnswerFile(path, "f" * 64)
        assert 0 < len(file.found) < COUNT
        assert 200 - 86 < file.spent_tokens <= 200
        asked = sum(server.asked.values())
        with pytest.raises(RunError, match="tokens are spent"):
            ask(server.url, path, token_budget=200)
        assert sum(server.asked.values()) == asked
        answers, file = ask(server.url, path, token_budget=2000)
    assert len(answers) == COUNT
    assert file.spent_tokens == 7 * COUNT
    assert set(server.served.values()) == {1}


def test_a_server_that_counts_nothing_is_counted_for(tmp_path):
    with ChatServer(counts=False) as server:
        answers, file = ask(server.url, tmp_path / "a.jsonl", count=2)
    expected = Decoding("m", 8).likely_tokens("say number 0")
    assert [one.estimated_tokens for one in answers.values()] == [expected] * 2
    assert file.spent_tokens == AnswerFile(tmp_path / "a.jsonl", "f" * 64).spent_tokens == 2 * expected


def test_a_changed_prompt_is_asked_again_and_no_other(tmp_path):
    with ChatServer() as server:
        ask(server.url, tmp_path / "a.jsonl", count=3)
        path = tmp_path / "a.jsonl"
        text = path.read_text()
        path.write_text(text.replace(json.loads(text.splitlines()[2])["asked"], "0" * 16))
        answers, file = ask(server.url, path, count=3)
    assert sorted(server.asked.values()) == [1, 1, 2]
    assert len(answers) == 3
    assert file.spent_tokens == 4 * 7


def test_the_key_comes_from_the_environment_and_is_written_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("TEACHER_KEY", "sk-very-secret")
    with ChatServer(key="sk-very-secret") as server:
        ask(server.url, tmp_path / "a.jsonl", count=2, api_key_env="TEACHER_KEY")
    assert "secret" not in (tmp_path / "a.jsonl").read_text()
    with ChatServer(key="another") as server, pytest.raises(UnavailableError, match="401") as caught:
        ask(server.url, tmp_path / "b.jsonl", count=2, api_key_env="TEACHER_KEY")
    assert "secret" not in str(caught.value)
    assert "***" in str(caught.value)
    monkeypatch.delenv("TEACHER_KEY")
    with pytest.raises(ConfigError, match="TEACHER_KEY is not set"):
        ask("http://127.0.0.1:9/v1", tmp_path / "c.jsonl", count=2, api_key_env="TEACHER_KEY")


def test_a_server_that_is_not_there_is_unavailable(tmp_path):
    with pytest.raises(UnavailableError, match="no connection") as caught:
        ask("http://127.0.0.1:9/v1", tmp_path / "a.jsonl", count=1)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("served", "root", "error"),
    [
        ("tiny/teacher", "", None),
        ("teacher", "", None),
        ("alias", "tiny/teacher", None),
        ("alias", "/models/teacher/", None),
        ("tiny/teacher", "/cache/snapshots/0123abcd", None),
        ("alias", "/cache/snapshots/0123abcd", NeedsReview),
        ("org/other", "org/other", Denied),
        ("alias", "", NeedsReview),
        ("tiny/teacher", "meta-llama/Llama-2-7b-hf", Denied),
        ("alias", "meta-llama/Llama-2-7b-hf", Denied),
    ],
)
def test_the_server_must_serve_the_model_on_the_ticket(tmp_path, served, root, error):
    with ChatServer(model=served, root=root) as server:
        if error is None:
            assert len(ask(server.url, tmp_path / "a.jsonl", count=1, model=served)[0]) == 1
        else:
            with pytest.raises(error):
                ask(server.url, tmp_path / "a.jsonl", count=1, model=served)
            assert not server.asked


def test_another_model_that_answers_ends_the_asking(tmp_path):
    with (
        ChatServer(mishaps={"say number 0": ["other"]}) as server,
        pytest.raises(ConfigError, match="other/model answered"),
    ):
        ask(server.url, tmp_path / "a.jsonl", count=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_url": "file:///etc/passwd"}, "http"),
        ({"base_url": "ftp://a/v1"}, "http"),
        ({"base_url": "http://me:pass@localhost/v1"}, "password"),
        ({"base_url": "http://localhost/v1?key=x"}, "query"),
        ({"base_url": "http://localhost/v1", "api_key_env": "sk-12345"}, "NAME of an environment variable"),
        ({"base_url": "http://api.example.com/v1", "api_key_env": "KEY"}, "unencrypted"),
        ({"base_url": "http://localhost/v1", "temperature": -1}, "endpoint.temperature"),
        ({"base_url": "http://localhost/v1", "rpm": 3}, "endpoint.rpm"),
    ],
)
def test_an_endpoint_that_makes_no_sense_is_refused_and_a_pasted_key_not_repeated(settings, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_config({"endpoint": settings})
    assert "sk-12345" not in str(caught.value)


def test_near_addresses_are_told_from_far_ones_without_a_lookup():
    def is_near(url):
        return parse_config({"endpoint": {"base_url": url}}).endpoint.is_near

    near = (
        "http://127.0.0.1:8000/v1",
        "http://[::1]/v1",
        "http://10.2.3.4/v1",
        "http://vllm:8000/v1",
        "http://a.local/v1",
    )
    assert all(map(is_near, near))
    assert not any(map(is_near, ("https://api.openai.com/v1", "https://8.8.8.8/v1", "https://localhost.evil.com/v1")))


def test_a_rate_is_kept_over_any_minute():
    now = 0.0
    sent = []

    async def sleep(seconds):
        nonlocal now
        now += seconds

    async def send():
        throttle = Throttle(120, 0, clock=lambda: now, sleep=sleep)
        for _ in range(300):
            await throttle.take(10)
            sent.append(now)

    asyncio.run(send())
    assert max(sum(start <= moment < start + 60 for moment in sent) for start in sent) <= 121
    assert sent[-1] == pytest.approx(299 * 0.5)


def test_tokens_a_minute_are_kept_and_what_was_not_used_is_given_back():
    now = 0.0

    async def sleep(seconds):
        nonlocal now
        now += seconds

    async def send(used):
        throttle = Throttle(0, 6000, clock=lambda: now, sleep=sleep)
        for _ in range(61):
            await throttle.take(100)
            throttle.correct(100, used)

    asyncio.run(send(100))
    assert now == pytest.approx(60)
    asyncio.run(send(50))
    assert now == pytest.approx(60 + 30)


@given(st.integers(1, 500), st.lists(st.tuples(st.integers(1, 60), st.floats(0, 1)), max_size=40))
def test_a_budget_is_never_overdrawn_while_nobody_uses_more_than_was_set_aside(limit, requests):
    async def spend():
        budget = Budget(limit)

        async def one(most, share):
            if await budget.set_aside(most):
                await asyncio.sleep(0)
                budget.settle(most, int(most * share))

        await asyncio.gather(*(one(*request) for request in requests))
        return budget

    budget = asyncio.run(spend())
    assert budget.spent <= limit
    assert asyncio.run(Budget(0).set_aside(10**9))


@given(st.binary(max_size=300))
def test_no_body_makes_a_reply_that_is_not_an_answer_into_one(content):
    with pytest.raises(TryAgain):
        read_reply(200, {}, content, model="a/b")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(st.sampled_from(["choices", "message", "content", "finish_reason", "usage", "model"]), x)
        ),
    )
)
def test_any_json_is_an_answer_or_another_try_or_another_model(payload):
    try:
        answer = read_reply(200, {}, json.dumps(payload).encode(), model="a/b")
    except (TryAgain, ConfigError):
        return
    assert isinstance(answer.text, str)
    assert isinstance(answer.finish, str)


def test_retry_after_gives_seconds_or_a_date():
    now = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)
    assert retry_after("2") == 2
    assert retry_after("Fri, 27 Nov 2026 12:00:30 GMT", now) == 30
    assert retry_after("Fri, 27 Nov 2026 11:00:00 GMT", now) == 0
    assert retry_after("99999999") == 600
    assert [retry_after(text) for text in ("", "soon", "nan", "inf")] == [None] * 4


@given(st.text(max_size=200), st.integers(1, 100))
def test_a_request_costs_at_most_what_is_set_aside(prompt, most):
    decoding = Decoding("a/b", most)
    assert decoding.most_tokens(prompt) >= len(prompt) + most
    assert decoding.likely_tokens(prompt) <= decoding.most_tokens(prompt)


def test_names_mean_one_model_if_their_last_part_does():
    assert same_model("Qwen/Qwen3-8B", "/models/qwen3-8b/")
    assert same_model("api:mistral/small", "small")
    assert same_model("a/b@main", "b")
    assert not same_model("a/b", "a/c")
    assert not same_model("", "")


@given(st.dictionaries(st.text(), st.builds(Answer, st.text(), st.sampled_from(["", "stop", "length"])), max_size=8))
def test_what_is_appended_is_read_again(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("answers") / "a.jsonl"
    file = AnswerFile(path, "f")
    file.append(answers)
    file.lose(3)
    again = AnswerFile(path, "f")
    assert again.found == answers
    assert (again.lost_tokens, again.spent_tokens) == (3, 3)


def test_a_line_that_is_no_answer_is_refused_with_its_place(tmp_path):
    path = tmp_path / "a.jsonl"
    AnswerFile(path, "f").append({"q": Answer("a")})
    path.write_text(path.read_text() + "[1]\n")
    with pytest.raises(ConfigError, match=r"a\.jsonl:3: not an answer"):
        AnswerFile(path, "f")
