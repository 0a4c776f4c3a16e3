"""The connections to one OpenAI-compatible server, and every way in which they break. Loads no torch."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

from curate.artifact import sha256_text
from curate.distillation.answer_file import Answer
from curate.distillation.chat import Decoding, TryAgain, one_line, read_reply, words
from curate.distillation.teacher_config import EndpointConfig
from curate.errors import MissingExtra, UnavailableError

LARGEST_REPLY = 16 << 20


class Connection:
    """The connections to one server."""

    def __init__(self, endpoint: EndpointConfig, key: str) -> None:
        try:
            import httpx2
        except ImportError as error:
            raise MissingExtra("httpx2", "distill") from error
        headers = {"authorization": f"Bearer {key}"} if key else {}
        count = endpoint.max_concurrent_requests
        self.http: Any = httpx2
        self.address = endpoint.base_url
        self.patience = endpoint.request_timeout
        self.key = key
        self.connections = httpx2.AsyncClient(
            headers=headers,
            timeout=endpoint.request_timeout,
            limits=httpx2.Limits(max_connections=count, max_keepalive_connections=count),
            follow_redirects=False,
            trust_env=not endpoint.base_url.startswith("http://127.0.0.1:"),  # no proxy between two on one machine
        )

    async def __aenter__(self) -> Self:
        await self.connections.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.connections.__aexit__(kind, error, trace)

    async def ask(self, decoding: Decoding, name: str, prompt: str, fingerprint: str) -> Answer:
        """One request; the same prompt carries the same Idempotency-Key on every try and after a resume."""
        once = sha256_text(f"{fingerprint}\0{name}\0{prompt}")[:32]
        status, headers, content = await self._exchange(
            "POST",
            "/chat/completions",
            content=json.dumps(decoding.body(prompt)).encode(),
            headers={"content-type": "application/json", "idempotency-key": once},
        )
        try:
            return read_reply(status, headers, self._hide(content), model=decoding.model)
        except UnavailableError as error:
            error.message = f"{self.address}: {error.message}"
            raise

    async def list_models(self) -> list[dict[str, Any]]:
        """What the server says it serves; nothing where it does not say."""
        try:
            status, _, content = await self._exchange("GET", "/models")
            payload = json.loads(content) if status == 200 else {}
        except TryAgain as error:
            raise UnavailableError(
                f"{self.address}: {error}", hint="start the server, or check endpoint.base_url"
            ) from error
        except ValueError:
            payload = {}
        if status in {401, 403}:
            raise UnavailableError(
                f"{self.address}: HTTP {status}: {words(self._hide(content))}", hint="set endpoint.api_key_env"
            )
        rows = payload.get("data") if isinstance(payload, dict) else None
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    async def _exchange(self, method: str, path: str, **options: Any) -> tuple[int, Any, bytes]:  # noqa: ANN401
        """Status, headers and body; whatever breaks on the way is worth another try."""
        sent = False
        try:
            async with asyncio.timeout(self.patience):
                async with self.connections.stream(method, f"{self.address}{path}", **options) as reply:
                    sent = reply.status_code == 200
                    content = b""
                    async for piece in reply.aiter_bytes():
                        content += piece
                        if len(content) > LARGEST_REPLY:
                            raise TryAgain(f"a reply of more than {LARGEST_REPLY >> 20} MiB", paid=sent)
                    return reply.status_code, reply.headers, content
        except TimeoutError as error:
            raise TryAgain(f"no whole reply within {self.patience:g} s", paid=True) from error
        except self.http.ConnectError as error:
            raise TryAgain(f"no connection: {one_line(str(error))}") from error
        except self.http.TimeoutException as error:
            raise TryAgain(f"no whole reply within {self.patience:g} s", paid=True) from error
        except self.http.HTTPError as error:
            raise TryAgain(f"the connection broke: {one_line(str(error))}", paid=True) from error

    def _hide(self, content: bytes) -> bytes:
        """A reply without the key, should the server repeat it."""
        return content.replace(self.key.encode(), b"***") if self.key else content
