"""A process that asks a server many prompts and may be killed: ``python -m tests.distillation.asking URL FILE``."""

import sys
from pathlib import Path

from curate.distillation.answer_file import AnswerFile
from curate.distillation.chat import Decoding
from curate.distillation.endpoint import ask_endpoint
from curate.distillation.teacher_config import EndpointConfig

IN_FLIGHT = 4
COUNT = 60


def prompts(count=COUNT):
    return [f"q{number}" for number in range(count)], [f"say number {number}" for number in range(count)]


def ask(url, path, *, count=COUNT, ref="tiny/teacher", progress=None, **settings):
    options = {"base_url": url, "max_concurrent_requests": IN_FLIGHT, "request_timeout": 0.8} | settings
    file = AnswerFile(path, "f" * 64)
    endpoint = EndpointConfig.model_validate(options)
    decoding = Decoding.of(endpoint, ref, max_answer_tokens=8, seed=5)
    heard = {} if progress is None else {"progress": progress}
    return ask_endpoint(endpoint, decoding, *prompts(count), file, ref=ref, **heard), file


if __name__ == "__main__":
    ask(sys.argv[1], Path(sys.argv[2]))
