"""One exchange in the OpenAI chat protocol: what is sent, and what a reply means. Loads no torch, opens nothing."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from curate.distillation.answer_file import Answer
from curate.distillation.teacher_config import EndpointConfig
from curate.errors import ConfigError, UnavailableError

TEMPLATE_TOKENS = 64
"""Room for what a chat template puts around a prompt."""
LONGEST_WAIT_S = 600.0
"""A server that asks for a longer wait is waited for so long, and asked again."""
SHOWN = 200
"""Characters of a server's own words in a message."""
AGAIN = frozenset({408, 409, 425, 429})
NEVER = frozenset({400, 413, 422})
"""This prompt will not be answered: too long, or refused before the model saw it."""


@dataclass(frozen=True)
class Decoding:
    """Everything that decides an answer beside the prompt."""

    model: str
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0

    @classmethod
    def of(cls, endpoint: EndpointConfig, model: str, *, max_answer_tokens: int, seed: int) -> "Decoding":
        """The decoding a config asks for."""
        most = endpoint.max_tokens or max_answer_tokens
        return cls(endpoint.model or model, most, endpoint.temperature, endpoint.top_p, seed)

    def body(self, prompt: str) -> dict[str, Any]:
        """The JSON of a request."""
        return {**vars(self), "messages": [{"role": "user", "content": prompt}], "n": 1, "stream": False}

    def most_tokens(self, prompt: str) -> int:
        """What a request can cost at most: no tokenizer makes more tokens than a text has bytes."""
        return len(prompt.encode("utf-8", "surrogatepass")) + TEMPLATE_TOKENS + self.max_tokens

    def likely_tokens(self, prompt: str) -> int:
        """What a request will probably cost, for the rate: four bytes a token."""
        return len(prompt.encode("utf-8", "surrogatepass")) // 4 + TEMPLATE_TOKENS + self.max_tokens


class TryAgain(Exception):
    """This try failed; another may not.

    ``paid`` says that the server has probably done the work; ``wait`` is how long it asks to be left alone.
    """

    def __init__(self, why: str, *, paid: bool = False, wait: float | None = None) -> None:
        super().__init__(why)
        self.paid = paid
        self.wait = wait


def read_reply(status: int, headers: Mapping[str, str], content: bytes, *, model: str) -> Answer:
    """The answer in a reply.

    Raises:
        TryAgain: the server is busy or broken, or the reply is not whole.
        UnavailableError: it will never answer anybody this way: key, address, model.
        ConfigError: another model answered.
    """
    if status in NEVER:
        return Answer("", "error", f"HTTP {status}: {words(content)}")
    if status in AGAIN or status >= 500:
        raise TryAgain(f"HTTP {status}: {words(content)}", wait=retry_after(headers.get("retry-after", "")))
    if status in {401, 403}:
        raise UnavailableError(
            f"endpoint: HTTP {status}: {words(content)}", hint="set the variable that endpoint.api_key_env names"
        )
    if status != 200:
        raise UnavailableError(
            f"endpoint: HTTP {status}: {words(content)}", hint="check endpoint.base_url and endpoint.model"
        )
    try:
        payload = json.loads(content)
        choice, usage = payload["choices"][0], payload.get("usage") or {}
        text, finish = choice["message"].get("content"), choice["finish_reason"]
        asked, said = (_count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
        served = str(payload.get("model") or "")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise TryAgain(f"half a reply: {words(content)}", paid=True) from error
    if not (text is None or isinstance(text, str)) or not isinstance(finish, str):
        raise TryAgain(f"half a reply: {words(content)}", paid=True)
    if served and not same_model(served, model):
        raise ConfigError(
            f"endpoint: {one_line(served)} answered, not {model}", hint="ask the license gate about the one that serves"
        )
    return Answer(text or "", finish[:40], model=served[:200], prompt_tokens=asked, completion_tokens=said)


def _count(value: object) -> int:
    """A number of tokens, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def same_model(one: str, other: str) -> bool:
    """Whether two names mean one model: the last part counts, as servers name folders, ids and bare names."""
    return _last(one) == _last(other) != ""


def _last(name: str) -> str:
    return name.removeprefix("api:").rstrip("/").rsplit("/", 1)[-1].partition("@")[0].casefold()


def retry_after(value: str, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After header, which gives seconds or a date (RFC 9110, 10.2.3); None if it gives neither."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            then = parsedate_to_datetime(value)
        except ValueError:
            return None
        then = then if then.tzinfo else then.replace(tzinfo=UTC)
        seconds = (then - (now or datetime.now(UTC))).total_seconds()
    if not math.isfinite(seconds):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_S)


def words(content: bytes) -> str:
    """A server's message, bounded and on one line; its whole reply where it has none."""
    text = content[:4000].decode("utf-8", "replace")
    try:
        payload = json.loads(content)
        told = payload.get("error", payload.get("message", text)) if isinstance(payload, dict) else text
        text = str(told.get("message", told)) if isinstance(told, dict) else str(told)
    except ValueError:
        pass
    return one_line(text) or "an empty reply"


def one_line(text: str) -> str:
    """Text from outside, printable and short."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[:4000]).split())[:SHOWN]
