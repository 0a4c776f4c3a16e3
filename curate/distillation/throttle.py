"""How fast a server may be asked, and how much may be spent on it. Loads no torch."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Throttle:
    """Spreads requests evenly under bounds a minute, and holds everybody back when the server asks for it.

    One line in time: each request takes the next free place on it, 60/r seconds or 60·n/t seconds (n tokens) after the
    one before, whichever is longer.
    """

    def __init__(
        self,
        requests_per_minute: int = 0,
        tokens_per_minute: int = 0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.requests_per_minute = requests_per_minute
        self.tokens_per_minute = tokens_per_minute
        self._clock = clock
        self._sleep = sleep
        self._request_place = 0.0
        self._token_place = 0.0
        self._closed_until = 0.0

    async def take(self, tokens: int) -> None:
        """Wait until a request of so many tokens may be sent."""
        now = self._clock()
        place = max(now, self._request_place, self._token_place)
        if self.requests_per_minute:
            self._request_place = place + 60 / self.requests_per_minute
        if self.tokens_per_minute:
            self._token_place = place + 60 * tokens / self.tokens_per_minute
        while (wait := max(place, self._closed_until) - self._clock()) > 0:
            await self._sleep(wait)

    def correct(self, expected: int, used: int) -> None:
        """Give back (or take) what a request used less (or more) than was expected of it."""
        if self.tokens_per_minute:
            self._token_place += 60 * (used - expected) / self.tokens_per_minute

    def close_for(self, seconds: float) -> None:
        """Nobody asks for so long: the server said so."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)


class Budget:
    """Tokens that may be spent. What a request may cost at most is set aside before it is sent, so none goes over."""

    def __init__(self, limit: int, spent: int = 0) -> None:
        self.limit = limit
        self.spent = spent
        self._aside = 0
        self._changed = asyncio.Event()

    async def set_aside(self, most: int) -> bool:
        """Wait until so many tokens are free for certain; False if they never will be."""
        while self.limit and self.spent + self._aside + most > self.limit:
            if not self._aside:
                return False
            self._changed.clear()
            await self._changed.wait()
        self._aside += most
        return True

    def settle(self, most: int, used: int) -> None:
        """A request is over: what it used is spent, the rest is free again."""
        self._aside -= most
        self.spent += used
        self._changed.set()
