"""A small OpenAI-compatible server on this machine, and ways in which one fails: stalls, throttles, drops, halves."""

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ChatServer(ThreadingHTTPServer):
    """Answers ``about <prompt>``; ``mishaps`` maps a prompt to the misfortunes of its first tries, in order.

    ``served`` counts by prompt how often a whole answer left the server, which is what is paid for.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *, model="tiny/teacher", root="", key="", mishaps=None, delay=0.0, answer=None, counts=True):
        super().__init__(("127.0.0.1", 0), ChatRoutes)
        self.counts = counts
        self.model, self.root, self.key, self.delay = model, root, key, delay
        self.mishaps = {prompt: list(kinds) for prompt, kinds in (mishaps or {}).items()}
        self.answer = answer or (lambda prompt: f"about {prompt}.")
        self.asked, self.served, self.bodies, self.headers, self.times = Counter(), Counter(), [], [], []
        self.active = self.most_active = 0
        self.lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that hung up is no news."""


class ChatRoutes(BaseHTTPRequestHandler):
    """Two routes of the protocol."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *parts):
        """Stay quiet."""

    def do_GET(self):
        row = {"id": self.server.model, "object": "model"} | ({"root": self.server.root} if self.server.root else {})
        self.reply(200, {"object": "list", "data": [row]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["messages"][0]["content"]
        server = self.server
        with server.lock:
            server.asked[prompt] += 1
            server.bodies.append(body)
            server.headers.append(dict(self.headers))
            server.times.append(time.monotonic())
            server.active += 1
            server.most_active = max(server.most_active, server.active)
            kinds = server.mishaps.get(prompt)
            mishap = kinds.pop(0) if kinds else ""
        try:
            if server.key and self.headers.get("authorization") != f"Bearer {server.key}":
                self.reply(401, {"error": {"message": f"no such key: {self.headers.get('authorization')}"}})
                return
            time.sleep(server.delay)
            getattr(self, f"go_{mishap}" if mishap else "go_well")(prompt)
        finally:
            with server.lock:
                server.active -= 1

    def whole(self, prompt, finish="stop"):
        text = self.server.answer(prompt)
        return {
            "id": "x",
            "model": self.server.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
            **({"usage": self.usage(prompt, text or "")} if self.server.counts else {}),
        }

    def usage(self, prompt, text):
        return {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())}

    def reply(self, status, payload, headers=()):
        content = json.dumps(payload).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def go_well(self, prompt, finish="stop"):
        with self.server.lock:
            self.server.served[prompt] += 1
        self.reply(200, self.whole(prompt, finish))

    def go_length(self, prompt):
        self.go_well(prompt, "length")

    def go_filtered(self, prompt):
        self.go_well(prompt, "content_filter")

    def go_throttle(self, prompt):
        self.reply(429, {"error": {"message": "slow down"}}, {"retry-after": "0.3"})

    def go_error(self, prompt):
        self.reply(500, {"error": "something broke"})

    def go_refuse(self, prompt):
        self.reply(400, {"error": {"message": "this model's maximum context length is 8 tokens"}})

    def go_stall(self, prompt):
        time.sleep(1.2)

    def go_drop(self, prompt):
        self.connection.close()
        self.close_connection = True

    def go_half(self, prompt):
        content = json.dumps(self.whole(prompt)).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])
        self.wfile.flush()
        self.connection.shutdown(2)
        self.close_connection = True

    def go_truncated(self, prompt):
        content = json.dumps(self.whole(prompt)).encode()[:-30]
        self.send_response(200)
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def go_nonsense(self, prompt):
        self.reply(200, {"hello": "world"})

    def go_unfinished(self, prompt):
        self.reply(200, self.whole(prompt, None))

    def go_other(self, prompt):
        self.reply(200, self.whole(prompt) | {"model": "other/model"})
