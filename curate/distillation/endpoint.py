"""A teacher behind an OpenAI-compatible endpoint: many requests in flight, each answer on disk as it comes."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from secrets import SystemRandom

from curate.artifact import sha256_text
from curate.distillation.answer_file import Answer, AnswerFile
from curate.distillation.chat import Decoding, TryAgain, one_line, same_model
from curate.distillation.connection import Connection
from curate.distillation.teacher_config import EndpointConfig
from curate.distillation.throttle import Budget, Throttle
from curate.errors import ConfigError, CurateError, Denied, NeedsReview, RunError, UnavailableError
from curate.gate import is_path
from curate.progress import Progress, silent

FIRST_WAIT_S = 0.5
LONGEST_BACKOFF_S = 60.0
REFUSED_FROM_THE_START = 8
"""So many prompts refused and none answered: the fault lies in the settings, not in the prompts."""


def ask_endpoint(
    endpoint: EndpointConfig,
    decoding: Decoding,
    ids: Sequence[str],
    prompts: Sequence[str],
    file: AnswerFile,
    *,
    ref: str,
    key: str = "",
    watch: Callable[[], None] = lambda: None,
    progress: Progress = silent,
) -> dict[str, Answer]:
    """The answer to every prompt by id; those in the file are not asked again, if the prompt is still the same.

    Args:
        endpoint: where and how fast.
        decoding: what decides the answers.
        ids: names of the prompts.
        prompts: their texts.
        file: where answers are kept.
        ref: the teacher as the license gate judged it; the server must say that it serves this one.
        key: of a server that curate started; else the one that ``endpoint.api_key_env`` names.
        watch: raises once further tries are in vain, because the server is known to have ended.
        progress: hears of answers.

    Raises:
        ConfigError: no key, every prompt refused, or another model that answers.
        Denied, NeedsReview: the server serves another model than the ticket's, or does not say which.
        UnavailableError: it cannot be reached or refuses the key.
        RunError: the budget is spent, or one prompt failed on every try; what was answered is in the file.
    """
    todo = unanswered(ids, prompts, file)
    if todo:
        asking = _Asking(endpoint, decoding, file, (len(ids) - len(todo), len(ids)), progress)
        asking.key, asking.watch = key or read_key(endpoint), watch
        try:
            asyncio.run(asking.go([(ids[place], prompts[place]) for place in todo], ref))
        finally:
            file.sync()
    return {name: file.found[name] for name in ids}


def unanswered(ids: Sequence[str], prompts: Sequence[str], file: AnswerFile) -> list[int]:
    """Places of the prompts that have no answer in the file, or had another text when it was given."""
    known = {name: one.asked for name, one in file.found.items()}
    return [place for place, name in enumerate(ids) if known.get(name) != digest(prompts[place])]


def digest(prompt: str) -> str:
    """What tells one prompt from another under the same id."""
    return sha256_text(prompt)[:16]


def read_key(endpoint: EndpointConfig) -> str:
    """The key from the environment; empty where none is asked for.

    Raises:
        ConfigError: the variable is not set, or holds what no header can.
    """
    if not endpoint.api_key_env:
        return ""
    key = os.environ.get(endpoint.api_key_env, "").strip()
    if not key or not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"endpoint.api_key_env: {endpoint.api_key_env} {'is not a key' if key else 'is not set'}",
            hint="export it before the run",
        )
    return key


class _Asking:
    """One round of questions."""

    def __init__(
        self,
        endpoint: EndpointConfig,
        decoding: Decoding,
        file: AnswerFile,
        counts: tuple[int, int],
        progress: Progress,
    ) -> None:
        self.endpoint = endpoint
        self.decoding = decoding
        self.file = file
        self.answered, self.total = counts
        self.progress = progress
        self.key = ""
        self.watch: Callable[[], None] = lambda: None
        self.throttle = Throttle(endpoint.max_requests_per_minute, endpoint.max_tokens_per_minute)
        self.budget = Budget(endpoint.token_budget, file.spent_tokens)
        self.failure: CurateError | None = None
        self.refused: dict[str, Answer] = {}
        """Refusals that are not written down yet."""
        self.has_answered = any(one.finish != "error" for one in file.found.values())
        self.chance = SystemRandom()

    async def go(self, questions: Sequence[tuple[str, str]], ref: str) -> None:
        """Ask until all are answered or something stops it; requests in flight are waited for, for they are paid."""
        async with Connection(self.endpoint, self.key) as client:
            await self._check_served(client, ref)
            queue = iter(questions)
            count = min(self.endpoint.max_concurrent_requests, len(questions))
            await asyncio.gather(*(self._work(client, queue) for _ in range(count)))
        if self.failure is not None:
            raise self.failure
        self.file.append(self.refused)

    async def _check_served(self, client: Connection, ref: str) -> None:
        """See ``check_served``; a server that has ended meanwhile is told of as such."""
        try:
            await check_served(client, self.decoding.model, ref)
        except UnavailableError:
            self.watch()
            raise

    async def _work(self, client: Connection, queue: Iterator[tuple[str, str]]) -> None:
        """Take one prompt after the other until there is none left, or somebody met a failure."""
        for name, prompt in queue:
            if self.failure is not None:
                return
            try:
                answer = await self._persist(client, name, prompt)
                if answer is None:
                    return
                self._keep(name, replace(answer, asked=digest(prompt)))
            except CurateError as error:
                self.failure = self.failure or error
                return
            self.answered += 1
            self.progress("answers", self.answered, self.total)

    def _keep(self, name: str, answer: Answer) -> None:
        """Write an answer down; refusals only once the server has answered anything, for the settings may be wrong."""
        self.refused[name] = answer
        if answer.finish != "error" or self.has_answered:
            self.has_answered = True
            self.file.append(self.refused)
            self.refused = {}
        elif len(self.refused) >= REFUSED_FROM_THE_START:
            raise ConfigError(
                f"endpoint: the first {len(self.refused)} prompts were all refused: {answer.why}",
                hint="check endpoint.max_tokens and the server",
            )

    async def _persist(self, client: Connection, name: str, prompt: str) -> Answer | None:
        """One prompt, tried again while that may help; None if others have failed meanwhile."""
        for attempt in range(self.endpoint.max_retries + 1):
            try:
                return await self._try(client, name, prompt)
            except TryAgain as error:
                last = error
            if self.failure is not None:
                return None
            self.watch()
            if attempt < self.endpoint.max_retries:
                await self._wait(attempt, last.wait)
        raise RunError(
            f"endpoint: prompt {one_line(name)} failed {self.endpoint.max_retries + 1} times, at last: {last}",
            hint="look at the server, then resume; answers that came are kept",
        )

    async def _wait(self, attempt: int, asked: float | None) -> None:
        """As long as the server asks, for everybody; else twice as long as before, at random within that time."""
        if asked is not None:
            self.throttle.close_for(asked)
        longest = min(LONGEST_BACKOFF_S, FIRST_WAIT_S * 2**attempt)
        await asyncio.sleep((asked or 0.0) + self.chance.uniform(0.0 if asked is not None else longest / 2, longest))

    async def _try(self, client: Connection, name: str, prompt: str) -> Answer:
        """One request, within budget and rate."""
        most, likely = self.decoding.most_tokens(prompt), self.decoding.likely_tokens(prompt)
        if not await self.budget.set_aside(most):
            raise RunError(
                f"endpoint: {self.budget.spent:,} of {self.budget.limit:,} tokens are spent, and the next prompt may "
                f"take {most:,}; {self.answered} of {self.total} prompts are answered",
                hint="raise endpoint.token_budget, then resume",
            )
        used = 0
        try:
            await self.throttle.take(likely)
            answer = await client.ask(self.decoding, name, prompt, self.file.fingerprint)
            used = answer.prompt_tokens + answer.completion_tokens
            if not used and answer.finish != "error":
                used, answer = likely, replace(answer, estimated_tokens=likely)
            self.throttle.correct(likely, used)
        except TryAgain as error:
            if error.paid:
                used = likely
                self.file.lose(used)
            raise
        finally:
            self.budget.settle(most, used)
        return answer


async def check_served(client: Connection, model: str, ref: str) -> None:
    """Hold what the server says it serves against the ticket.

    A server may serve a model under any name; vLLM and SGLang tell in ``root`` which one it is. A folder there whose
    name is another tells nothing: the hub's cache calls its folders by commits.

    Raises:
        Denied: it says another.
        NeedsReview: the name is another, and it does not say what is behind it.
    """
    rows = [row for row in await client.list_models() if row.get("id") == model]
    root = str(rows[0].get("root") or "") if rows else ""
    if root and not is_path(root) and not same_model(root, ref):
        raise Denied(
            f"endpoint: serves {one_line(root)} as {model}, but the ticket is for {ref}",
            hint="ask the license gate about the model that is served",
        )
    if not same_model(root, ref) and not same_model(model, ref):
        raise NeedsReview(
            f"endpoint: serves {model}, and nothing says that it is {ref}, which the ticket is for",
            hint="serve it under its own name, and set endpoint.model to it",
        )
