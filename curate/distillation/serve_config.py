"""How curate starts a server for a teacher: which program, and with which arguments beside its own. Loads no torch."""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from curate.artifact import Value

OWN = {
    "--model", "--revision", "--tokenizer", "--tokenizer-revision", "--code-revision", "--served-model-name",
    "--hf-config-path", "--host", "--port", "--uds", "--root-path", "--api-key", "--config", "--headless",
    "--ssl-keyfile", "--ssl-certfile", "--lora-modules", "--middleware", "--speculative-config", "-sc",
}  # fmt: skip
"""What would serve another model, at another address or with another key: curate's to say."""
FOREIGN_CODE = "--trust-remote-code"
OPERATION = {
    "--gpu-memory-utilization", "--tensor-parallel-size", "-tp", "--pipeline-parallel-size", "-pp",
    "--data-parallel-size", "-dp", "--api-server-count", "-asc", "--max-num-seqs", "--max-num-batched-tokens",
    "--max-model-len", "--enforce-eager", "--swap-space", "--cpu-offload-gb", "--download-dir", "--disable-log-stats",
    "--uvicorn-log-level", "--enable-prefix-caching", "--no-enable-prefix-caching",
}  # fmt: skip
"""How fast and within which memory; every other argument may change the answers."""


def _as_text(value: Any) -> Any:  # noqa: ANN401 – whatever stands in the file
    """YAML makes a number of 4096; a command line has text alone."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Word = Annotated[str, BeforeValidator(_as_text)]


class ServeConfig(Value):
    """A server that curate starts, asks and stops; its command line is vLLM's."""

    program: str = Field("vllm", min_length=1)
    """A name on PATH, or the path of an executable: ``~/vllm/bin/vllm`` of another environment."""
    arguments: tuple[Word, ...] = Field((), max_length=200)
    """Further words of its command line, each for itself; no shell reads them."""
    start_timeout: float = Field(1800.0, gt=0)
    """Seconds until it must be ready: fetching, loading and compiling included."""

    @field_validator("program", "arguments")
    @classmethod
    def _printable(cls, value: Any) -> Any:  # noqa: ANN401
        """Words that a command line can hold and a log can show."""
        if not all(word.isprintable() for word in ([value] if isinstance(value, str) else value)):
            raise ValueError("a word with a line break or a control character")
        return value

    @field_validator("arguments")
    @classmethod
    def _nothing_of_ours(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Neither another model, address or key, nor code that comes with a model."""
        for name, _ in options(value):
            if not name:
                raise ValueError("the first word is no option")
            if any(_means(name, own) for own in OWN):
                raise ValueError(f"{name[:40]} is set by curate")
            if _means(name, FOREIGN_CODE):
                raise ValueError(f"{FOREIGN_CODE} runs code that nobody judged; start that server yourself")
        return value

    def decisive(self) -> list[str]:
        """The arguments that may change answers."""
        return [word for name, words in options(self.arguments) if name not in OPERATION for word in words]


def options(arguments: tuple[str, ...]) -> Iterator[tuple[str, list[str]]]:
    """Each option by its plain name, with its words; words before the first option stand under an empty name."""
    found: list[tuple[str, list[str]]] = []
    for word in arguments:
        if word.startswith("-") and not word[1:2].isdigit():
            name = word.partition("=")[0].partition(".")[0]  # of a JSON value, one part may stand after a dot
            found.append((name.replace("_", "-") if name.startswith("--") else name, []))
        elif not found:
            found.append(("", []))
        found[-1][1].append(word)
    return iter(found)


def _means(name: str, option: str) -> bool:
    """Whether a parser that takes abbreviations, as argparse does, may read a name as an option."""
    return len(name) > 2 and option.startswith(name)
