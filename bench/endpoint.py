"""Answers through an OpenAI-compatible server against answers in memory: the same teacher, the same prompts.

The server is ``transformers serve`` (install its parts beside the environment: ``pip install --target FOLDER fastapi
uvicorn starlette openai opentelemetry-api opentelemetry-sdk``) with the embedded teacher. Prints how many texts and
finish reasons agree, and how long both took.

    python bench/endpoint.py --peers FOLDER --prompts 80
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from curate.distillation.answer_file import AnswerFile
from curate.distillation.answers import ask_teacher
from curate.distillation.batches import Encoder
from curate.distillation.chat import Decoding
from curate.distillation.endpoint import ask_endpoint
from curate.distillation.loading import load_model
from curate.distillation.teacher import embedded_folder
from curate.distillation.teacher_config import EndpointConfig

PROMPTS = Path(__file__).parent.parent / "examples" / "prompts.jsonl"
START_S = 180


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(peers, port):
    """A server that answers, or an end with what it said."""
    environment = os.environ | {"PYTHONPATH": peers, "HF_HUB_OFFLINE": "1"}
    command = [Path(sys.executable).with_name("transformers"), "serve", embedded_folder(), "--device", "cpu"]
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 – as long as the server
    server = subprocess.Popen(
        [*map(str, command), "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=log, stderr=log
    )
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return server
        time.sleep(0.5)
    server.kill()
    log.seek(0)
    sys.exit(f"the server did not start: {log.read()[-500:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", default="", help="folder with the server's own dependencies")
    parser.add_argument("--prompts", type=int, default=80)
    chosen = parser.parse_args()
    rows = [json.loads(line) for line in PROMPTS.read_text().splitlines()][: chosen.prompts]
    ids, prompts = [row["id"] for row in rows], [row["prompt"] for row in rows]
    folder, port, name = Path(tempfile.mkdtemp()), free_port(), str(embedded_folder())
    server = start(chosen.peers, port)
    try:
        endpoint = EndpointConfig(base_url=f"http://127.0.0.1:{port}/v1", model=name, max_concurrent_requests=4)
        decoding = Decoding.of(endpoint, name, max_answer_tokens=16, seed=0)
        started = time.perf_counter()
        served = ask_endpoint(endpoint, decoding, ids, prompts, AnswerFile(folder / "served", "f"), ref=name)
        served_s = time.perf_counter() - started
    finally:
        server.kill()
        server.wait()
    model, tokenizer = load_model(name)
    encoder = Encoder(tokenizer, max_prompt_tokens=128, max_answer_tokens=16)
    started = time.perf_counter()
    local = ask_teacher(model.eval(), encoder, ids, prompts, AnswerFile(folder / "local", "f"))
    local_s = time.perf_counter() - started
    texts = sum(served[name].text.strip() == local[name].text.strip() for name in ids)
    ends = sum(served[name].finish == local[name].finish for name in ids)
    print(f"prompts {len(ids)}; same text {texts}; same finish {ends}; server {served_s:.1f} s, memory {local_s:.1f} s")


if __name__ == "__main__":
    main()
