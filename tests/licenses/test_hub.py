"""The hub against a small server on this machine that speaks its routes."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = b"---\nlicense: apache-2.0\n---\n# small\n"
LLAMA = b"---\nlicense: mit\n---\n# plain\n"


class HubRoutes(BaseHTTPRequestHandler):
    """Repository information and file downloads, as far as a card needs them."""

    tags = {"good/tagged": ["license:mit", "base_model:finetune:meta-llama/Llama-2-7b-hf"]}
    cards = {"good/small": CARD, "good/tagged": LLAMA, "good/bare": None}

    def log_message(self, *parts):
        """Stay quiet."""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, *, with_body):
        path = self.path.split("?")[0]
        if "broken/" in path:
            return self.send(500, b"boom", {}, with_body)
        if path.startswith("/api/models/"):
            return self.information(path.removeprefix("/api/models/"), with_body)
        for name, card in self.cards.items():
            if path == f"/{name}/resolve/{COMMIT}/README.md" and card is not None:
                headers = {"ETag": '"abc123"', "X-Repo-Commit": COMMIT, "Content-Type": "text/plain"}
                return self.send(200, card, headers, with_body)
        return self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, with_body)

    def information(self, rest, with_body):
        name, _, revision = rest.partition("/revision/")
        if name not in self.cards:
            return self.send(404, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"}, with_body)
        if revision and revision not in ("main", "v1", COMMIT):
            return self.send(404, b'{"error":"no such revision"}', {"X-Error-Code": "RevisionNotFound"}, with_body)
        siblings = (
            [{"rfilename": "README.md"}] if self.cards[name] is not None else [{"rfilename": "model.safetensors"}]
        )
        told = {"id": name, "modelId": name, "sha": COMMIT, "tags": self.tags.get(name, []), "siblings": siblings,
                "private": False, "downloads": 1, "likes": 1}  # fmt: skip
        return self.send(200, json.dumps(told).encode(), {"Content-Type": "application/json"}, with_body)

    def send(self, status, body, headers, with_body):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


@pytest.fixture(scope="module")
def hub():
    """The server's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubRoutes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


def check(endpoint, tmp_path, *arguments, timeout=60):
    """Run the command with its own hub cache."""
    environment = {
        **os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1", "CURATE_CARDS": "", "CURATE_POLICY": "default",
    }  # fmt: skip
    environment.pop("HF_HUB_OFFLINE", None)
    return subprocess.run(
        [sys.executable, "-m", "curate", "check-license", *arguments],
        capture_output=True, text=True, env=environment, timeout=timeout, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip


def test_a_card_on_the_hub_is_pinned_to_its_commit(hub, tmp_path):
    done = check(hub, tmp_path, "good/small", "--revision", "v1", "-f", "json")
    assert done.returncode == 0, done.stderr
    decision = json.loads(done.stdout)
    assert decision["revision"] == COMMIT
    assert COMMIT in decision["findings"][0]["evidence"][0]["source"]


def test_a_parent_in_the_hubs_own_tags_is_followed(hub, tmp_path):
    done = check(hub, tmp_path, "good/tagged", "-f", "json")
    assert done.returncode == 3, done.stderr
    assert "license-laundering" in {found["rule"] for found in json.loads(done.stdout)["findings"]}


def test_a_repository_without_a_card_has_no_license(hub, tmp_path):
    done = check(hub, tmp_path, "good/bare", "-f", "json")
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["findings"][0]["rule"] == "missing-license"


def test_a_name_or_revision_the_hub_does_not_know_is_exit_6(hub, tmp_path):
    done = check(hub, tmp_path, "nobody/nothing")
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.count("\n") == 1
    done = check(hub, tmp_path, "good/small@gone")
    assert done.returncode == 6
    assert "Traceback" not in done.stderr


def test_a_hub_that_fails_is_exit_6_and_never_a_verdict(hub, tmp_path):
    done = check(hub, tmp_path, "broken/model")
    assert (done.returncode, done.stdout) == (6, "")
    assert "HTTP 500" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_name_the_catalogue_knows_is_judged_without_the_hub_and_says_so(tmp_path):
    done = check("http://127.0.0.1:9", tmp_path, "EleutherAI/gpt-neo-1.3B", "-f", "json")
    assert done.returncode == 0
    assert "judged by the catalogue alone" in done.stderr
    assert json.loads(done.stdout)["lineage"]["nodes"][0]["status"] == "known"


def test_a_hub_that_is_down_is_exit_6(tmp_path):
    done = check("http://127.0.0.1:9", tmp_path, "good/small")
    assert (done.returncode, done.stdout) == (6, "")
    assert "Traceback" not in done.stderr
