"""A stand-in for vLLM: an executable with its command line and routes, and ways in which a server fails.

What it does beside answering stands in the environment: CURATE_STAND_IN is a JSON object with any of ``delay``
(seconds until it listens), ``never`` (it never does), ``dies`` (at the start), ``dies_after`` (so many answers),
``slow`` (seconds of an answer), ``stubborn`` (it ignores SIGTERM), ``child`` (it starts a process of its own), ``says``
(every answer) and ``diary`` (a file for what it saw).
"""

import json
import os
import stat
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

LONGEST_S = 60

SOURCE = """
    #!{python} -IS
    import argparse, json, os, signal, subprocess, sys, threading, time
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    if sys.argv[1:] == ["--version"]:
        print("INFO 11-27 12:00:00 a line before")
        print("0.33.0+stand.in")
        sys.exit(0)

    plan = json.loads(os.environ.get("CURATE_STAND_IN", "{{}}"))
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    for name in ("host", "port", "revision", "tokenizer-revision", "served-model-name", "generation-config"):
        parser.add_argument("--" + name)
    parser.add_argument("--max-model-len", type=int)
    parser.add_argument("--gpu-memory-utilization", type=float)
    parser.add_argument("--enforce-eager", action="store_true")
    options = parser.parse_args()
    key = os.environ["VLLM_API_KEY"]
    lock, served = threading.Lock(), []

    def note(**what):
        if plan.get("diary"):
            with open(plan["diary"], "a") as stream:
                stream.write(json.dumps(what) + "\\n")

    class Routes(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *parts):
            pass

        def reply(self, status, payload):
            content = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self):
            if self.path == "/health":
                return self.reply(200, {{}})
            if self.headers.get("authorization") != "Bearer " + key:
                return self.reply(401, {{"error": "no"}})
            self.reply(200, {{"data": [{{"id": options.served_model_name, "root": options.model}}]}})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.headers.get("authorization") != "Bearer " + key:
                return self.reply(401, {{"error": "no"}})
            prompt = body["messages"][0]["content"]
            with lock:
                if plan.get("dies_after") is not None and len(served) >= plan["dies_after"]:
                    print("CUDA error: an illegal memory access was encountered", flush=True)
                    os._exit(3)
                served.append(prompt)
                note(asked=prompt)
            time.sleep(plan.get("slow", 0))
            self.reply(200, {{
                "model": options.served_model_name,
                "choices": [{{"message": {{"content": plan.get("says", "about " + prompt)}}, "finish_reason": "stop"}}],
                "usage": {{"prompt_tokens": 3, "completion_tokens": 2}},
            }})

    def lives(pid):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return True

    before = open(plan["diary"]).read().splitlines() if os.path.exists(plan.get("diary", "")) else []
    others = [row["pid"] for row in map(json.loads, before) if "pid" in row]
    note(pid=os.getpid(), beside=sum(map(lives, others)), argv=sys.argv[1:], environ=dict(os.environ))
    print("loading", options.model, "with the key", key, "\\x1b[31mred", flush=True)
    if plan.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if plan.get("child"):
        child = subprocess.Popen([sys.executable, "-c", "import signal, time; "
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('I live', flush=True); time.sleep(600)"])
        note(child=child.pid)
    if plan.get("dies"):
        print("ValueError: Free memory on device cuda:0 is less than desired", file=sys.stderr, flush=True)
        sys.exit(1)
    time.sleep(600 if plan.get("never") else plan.get("delay", 0))
    ThreadingHTTPServer((options.host, int(options.port)), Routes).serve_forever()
"""


def write_stand_in(folder, name="vllm"):
    """The executable, in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(dedent(SOURCE).lstrip().format(python=sys.executable), encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def vllm(tmp_path):
    return write_stand_in(tmp_path / "bin")


@pytest.fixture
def plan(monkeypatch, tmp_path):
    """Say what the stand-in does, and read what it saw."""
    found = Plan(tmp_path / "diary.jsonl", monkeypatch)
    found()
    return found


class Plan:
    """The stand-in's orders and its diary."""

    def __init__(self, diary, monkeypatch):
        self.diary, self.monkeypatch = diary, monkeypatch

    def __call__(self, **what):
        self.monkeypatch.setenv("CURATE_STAND_IN", json.dumps({"diary": str(self.diary)} | what))

    def seen(self, key):
        lines = self.diary.read_text(encoding="utf-8").split("\n")[:-1] if self.diary.exists() else []
        return [row[key] for row in map(json.loads, lines) if key in row]

    def all_gone(self):
        pids = [*self.seen("pid"), *self.seen("child")]
        assert pids
        return not any(is_alive(pid) for pid in pids)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return parent_and_state(pid)[1] != "Z"


def parent_and_state(pid):
    """Of a process, where the system tells it in files, as Linux does."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:2]
    except OSError:
        return 0, ""
    return int(parent), state


def wait_until(happens, what):
    deadline = time.monotonic() + LONGEST_S
    while not happens():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
