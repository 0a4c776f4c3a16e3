"""A process that starts a server, asks it and may be killed: ``python -m tests.distillation.serve_and_ask EXE DIR``."""

import signal
import sys
from pathlib import Path

from curate.distillation import server as server_module
from curate.distillation.answer_file import AnswerFile
from curate.distillation.chat import Decoding
from curate.distillation.endpoint import ask_endpoint
from curate.distillation.serving import Served, serving
from curate.distillation.teacher_config import EndpointConfig

from .asking import prompts

REF = "tiny/teacher"
COMMIT = "c0ffee" * 6 + "0000"


def serve_and_ask(program, folder, *, count=20, progress=None, offline=False, concurrent=2, settings=None, **serve):
    endpoint = EndpointConfig.model_validate(
        {"serve": {"program": str(program)} | serve, "max_concurrent_requests": concurrent} | (settings or {})
    )
    file = AnswerFile(folder / "answers.jsonl", "f" * 64)
    decoding = Decoding.of(endpoint, REF, max_answer_tokens=8, seed=5)
    heard = {} if progress is None else {"progress": progress}
    served = Served(REF, COMMIT, REF)
    with serving(
        endpoint, served, log=folder / "server.log", tell=file.tell_served_by, offline=offline, **heard
    ) as server:
        ask_endpoint(
            server.endpoint, decoding, *prompts(count), file, ref=REF, key=server.key, watch=server.watch, **heard
        )
    return file


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in a shell's background inherit it ignored
    server_module.GRACE_S = 1.0
    serve_and_ask(Path(sys.argv[1]), Path(sys.argv[2]))
