"""Who teaches besides a model in memory: a teacher behind an endpoint, or several teachers. Loads no torch."""

import ipaddress
import re
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from curate.artifact import Value
from curate.distillation.serve_config import ServeConfig

VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*\Z", re.ASCII)
OWN_ENDINGS = (".local", ".internal", ".lan", ".localdomain", ".svc")


class EndpointConfig(Value):
    """A server that speaks the OpenAI chat protocol, as vLLM, SGLang and llama.cpp do; it gives out answers alone."""

    base_url: str = ""
    """Up to and with the version: ``http://127.0.0.1:8000/v1``; empty with ``serve``."""
    serve: ServeConfig | None = None
    """Instead: curate starts the server on this machine, and stops it once all are answered."""
    model: str = ""
    """The name it is served under; empty: the name on the teacher's ticket."""
    self_hosted: bool = False
    """You run the server yourself, though its address is neither on this machine nor on a private network."""
    api_key_env: str = ""
    """The environment variable that holds the key, never the key; empty: none is sent."""
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)
    max_tokens: int = Field(0, ge=0)
    """Of an answer, in the teacher's tokens; 0: ``max_answer_tokens``."""
    max_concurrent_requests: int = Field(16, gt=0, le=1024)
    max_requests_per_minute: int = Field(0, ge=0)
    """0: no bound; so below."""
    max_tokens_per_minute: int = Field(0, ge=0)
    """Of prompts and answers together."""
    token_budget: int = Field(0, ge=0)
    """Tokens of prompts and answers that may be spent in all, earlier attempts included."""
    max_retries: int = Field(8, ge=0, le=100)
    """Further tries of one prompt, with a wait that doubles."""
    request_timeout: float = Field(120.0, gt=0)
    """Seconds of one try, from the first byte out to the last byte in."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        """An http(s) address of a server, with nothing secret in it."""
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an http:// or https:// address is expected, such as http://127.0.0.1:8000/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("no user, password, query or fragment belongs here; a key goes through api_key_env")
        return value.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _name_of_a_variable(cls, value: str) -> str:
        """A name in capitals, so that a key that was pasted here is refused (and not shown)."""
        if value and not VARIABLE.match(value):
            raise ValueError("the NAME of an environment variable is expected, in capitals, and not the key itself")
        return value

    @model_validator(mode="after")
    def _one_server(self) -> "EndpointConfig":
        """A server that is there, or one that is started under curate's own name, address and key."""
        if bool(self.base_url) == bool(self.serve):
            raise ValueError("give base_url (a server that is there) or serve (one that curate starts)")
        if self.serve and (self.model or self.api_key_env or self.self_hosted):
            raise ValueError("serve: model, api_key_env and self_hosted are for a server that is there")
        return self

    @model_validator(mode="after")
    def _no_key_in_the_clear(self) -> "EndpointConfig":
        """A key goes over TLS, or stays among one's own machines."""
        if self.api_key_env and self.base_url.startswith("http://") and not self.is_near:
            raise ValueError("a key would travel unencrypted to another network; use https://")
        return self

    @property
    def is_near(self) -> bool:
        """Whether the server is on this machine or on a private network, by its address alone; no name is looked up."""
        if self.serve:
            return True
        host = (urlsplit(self.base_url).hostname or "").rstrip(".").lower()
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return "." not in host or host.endswith(OWN_ENDINGS)
        return address.is_private or address.is_loopback or address.is_link_local


class TeacherConfig(Value):
    """One of several teachers."""

    teacher: str
    """As on its ticket: ``owner/name``, a folder, ``api:provider/model``."""
    share: float = Field(1.0, gt=0)
    """Of the prompts that have no answer, against the other teachers' shares."""
    endpoint: EndpointConfig | None = None
    """None: the model is loaded here."""


OPERATION = {
    "base_url", "serve", "self_hosted", "api_key_env", "max_concurrent_requests", "max_requests_per_minute",
    "max_tokens_per_minute", "token_budget", "max_retries", "request_timeout",
}  # fmt: skip
"""What changes how answers are fetched, and not the answers: another value goes on with those already there.

Of ``serve`` this is half the truth: see ``ServeConfig.decisive``.
"""
