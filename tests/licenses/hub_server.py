"""A small hub on this machine: repositories, files, gates, and every way in which a hub can fail."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "89abcdef0123456789abcdef0123456789abcdef"
TOKEN = "hf_let_me_in"

MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining a copy of this software\n"
CARD = b"---\nlicense: apache-2.0\n---\n# small\n"


def repo(card, *, files=None, tags=(), gated=False, card_data=None):
    """A repository as the server keeps it; ``card`` None has no README."""
    contents = {} if card is None else {"README.md": card}
    contents |= {name: text.encode() for name, text in (files or {}).items()}
    return {"files": contents, "tags": list(tags), "gated": gated, "card_data": card_data}


MODELS = {
    "good/small": repo(CARD, files={"LICENSE": MIT, "config.json": "{}"}),
    "good/tagged": repo(
        b"---\nlicense: mit\n---\n# plain\n", tags=["license:mit", "base_model:finetune:meta-llama/Llama-2-7b-hf"]
    ),
    "good/bare": repo(None, files={"model.safetensors": "x"}),
    "good/child": repo(
        b"---\nlicense: apache-2.0\nbase_model: good/small\ndatasets: [good/set]\n---\n# child of two\n"
    ),
    "good/orphan": repo(b"---\nlicense: apache-2.0\nbase_model: nobody/knows-this\n---\n"),
    "gated/open-card": repo(CARD, gated="auto"),
    "gated/metadata": repo(CARD, gated="manual", card_data={"license": "apache-2.0"}, files={"LICENSE": MIT}),
    "gated/silent": repo(CARD, gated="manual"),
    "gated/shut": repo(CARD, gated="manual"),
    "good/over-gated": repo(b"---\nlicense: apache-2.0\nbase_model: gated/open-card\n---\n"),
    "flaky/busy": repo(CARD),
    "flaky/impatient": repo(CARD),
    "flaky/error": repo(CARD),
    "flaky/file-busy": repo(CARD),
    "half/json": repo(CARD),
    "half/file": repo(CARD),
    "half/file-once": repo(CARD),
    "half/no-commit": repo(CARD),
    "odd/not-json": repo(CARD),
    "odd/names": repo(CARD, files={"LICENSE": MIT, "LICENSE\u202e.md": "x", "sub/LICENSE": "x"}),
    "slow/answer": repo(CARD),
    "slow/other": repo(CARD),
    "meta-llama/Llama-2-7b-hf": repo(b"---\nlicense: llama2\n---\n"),
}
DATASETS = {"good/set": repo(b"---\nlicense: cc-by-4.0\n---\n# rows\n")}
WITHHELD = ("gated/metadata", "gated/silent", "gated/shut")


class HubRoutes(BaseHTTPRequestHandler):
    """Repository information and file downloads, as far as a card needs them."""

    protocol_version = "HTTP/1.1"
    seen: Counter = Counter()
    active = 0
    most_active = 0
    lock = threading.Lock()

    def log_message(self, *parts):
        """Stay quiet."""

    def do_HEAD(self):
        self.answer(with_body=False)

    def do_GET(self):
        self.answer(with_body=True)

    def answer(self, *, with_body):
        path = self.path.split("?")[0]
        with self.lock:
            HubRoutes.seen[f"{self.command} {path}"] += 1
            HubRoutes.active += 1
            HubRoutes.most_active = max(HubRoutes.most_active, HubRoutes.active)
        try:
            self.route(path, with_body)
        except OSError:
            self.close_connection = True  # the client had no more patience
        finally:
            with self.lock:
                HubRoutes.active -= 1

    def route(self, path, with_body):
        for prefix, table in (("/api/models/", MODELS), ("/api/datasets/", DATASETS)):
            if path.startswith(prefix):
                return self.information(path.removeprefix(prefix), table, with_body)
        for prefix, table in (("/datasets/", DATASETS), ("/", MODELS)):
            if path.startswith(prefix) and "/resolve/" in path:
                name, _, rest = path.removeprefix(prefix).partition("/resolve/")
                return self.file(name, rest.partition("/")[2], table.get(name), with_body)
        return self.send(404, b"{}", {"X-Error-Code": "EntryNotFound"}, with_body)

    def information(self, rest, table, with_body):
        name, _, revision = rest.partition("/revision/")
        if self.headers.get("Authorization") == "Bearer hf_wrong":
            return self.send(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"}, with_body)
        if name.startswith("private/"):
            return self.send(401, b'{"error":"Invalid username or password."}', {}, with_body)
        if name == "gated/shut":
            return self.send(403, b'{"error":"gated"}', {"X-Error-Code": "GatedRepo"}, with_body)
        if name == "closed/model":
            told = {"X-Error-Message": "Access to this resource is disabled."}
            return self.send(403, b"{}", told, with_body)
        if name.startswith(("flaky/", "broken/", "slow/", "half/json", "half/no-commit", "odd/not-json")):
            return self.trouble(name, table, with_body)
        if name not in table:
            return self.send(404, b'{"error":"Repository not found"}', {"X-Error-Code": "RepoNotFound"}, with_body)
        if revision and revision not in ("main", "v1", COMMIT, OTHER):
            return self.send(404, b'{"error":"no such revision"}', {"X-Error-Code": "RevisionNotFound"}, with_body)
        return self.send_info(name, table, with_body, OTHER if revision == OTHER else COMMIT)

    def trouble(self, name, table, with_body):
        times = sum(count for line, count in HubRoutes.seen.items() if f"/api/models/{name}" in line)
        if name == "flaky/busy" and times <= 2:
            return self.send(429, b"slow down", {"Retry-After": "3"}, with_body)
        if name == "flaky/impatient":
            return self.send(429, b"slow down", {"Retry-After": "3600"}, with_body)
        if name == "flaky/error" and times <= 1:
            return self.send(503, b"later", {}, with_body)
        if name.startswith("broken/"):
            return self.send(500, b"boom", {}, with_body)
        if name == "odd/not-json":
            return self.send(200, b"<html>a proxy's page</html>", {"Content-Type": "text/html"}, with_body)
        if name == "half/json":
            return self.cut(b'{"id": "half/json", "sha": "0123', 5000)
        if name.startswith("slow/"):
            time.sleep(1.5)
        return self.send_info(name, table, with_body, "" if name == "half/no-commit" else COMMIT)

    def send_info(self, name, table, with_body, commit):
        kept = table[name]
        told = {"id": name, "modelId": name, "sha": commit, "tags": kept["tags"], "gated": kept["gated"],
                "siblings": [{"rfilename": one} for one in kept["files"]], "private": False, "downloads": 1,
                "likes": 1, "author": name.split("/")[0], "cardData": kept["card_data"]}  # fmt: skip
        return self.send(200, json.dumps(told).encode(), {"Content-Type": "application/json"}, with_body)

    def file(self, name, wanted, kept, with_body):
        if kept is None or wanted not in kept["files"]:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound"}, with_body)
        if name in WITHHELD and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.send(403, b"gated", {"X-Error-Code": "GatedRepo"}, with_body)
        content = kept["files"][wanted]
        headers = {
            "ETag": f'"{name.replace("/", "-")}-{wanted}"',
            "X-Repo-Commit": COMMIT,
            "Content-Type": "text/plain",
        }
        times = HubRoutes.seen[f"GET /{name}/resolve/{COMMIT}/{wanted}"]
        if with_body and (name == "half/file" or (name == "half/file-once" and times <= 1)):
            return self.cut(content[:10], len(content), headers)
        if name == "flaky/file-busy" and with_body and times <= 1:
            return self.send(503, b"later", {}, with_body)
        return self.send(200, content, headers, with_body)

    def cut(self, body, promised, headers=()):
        """Promise more than is sent, then hang up."""
        self.send_response(200)
        for key, value in dict(headers or {"Content-Type": "application/json"}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True

    def send(self, status, body, headers, with_body):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def serve():
    """The server and its address."""
    HubRoutes.seen = Counter()
    HubRoutes.most_active = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubRoutes)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_address[1]}"
