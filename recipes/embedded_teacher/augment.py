"""Small, label-keeping changes to a message: a dropped word, two words swapped, a typo, no final mark."""

from __future__ import annotations

import random

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def misspell(word: str, rng: random.Random) -> str:
    """The word with one letter dropped, doubled, replaced, or swapped with the next."""
    if len(word) < 4:
        return word
    place = rng.randrange(1, len(word) - 1)
    match rng.randrange(4):
        case 0:
            return word[:place] + word[place + 1 :]
        case 1:
            return word[:place] + word[place] + word[place:]
        case 2:
            return word[:place] + rng.choice(LETTERS) + word[place + 1 :]
        case _:
            return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


def vary(message: str, rng: random.Random, strength: float = 1.0) -> str:
    """The message with a few random changes; ``strength`` 0 returns it as it is."""
    words = message.split()
    if strength <= 0 or len(words) < 3:
        return message
    kept = [word for word in words if rng.random() > 0.08 * strength]
    words = kept if len(kept) >= 2 else words
    if rng.random() < 0.15 * strength:
        place = rng.randrange(len(words) - 1)
        words[place], words[place + 1] = words[place + 1], words[place]
    words = [misspell(word, rng) if rng.random() < 0.02 * strength else word for word in words]
    text = " ".join(words)
    return text.rstrip("?.! ") or text if rng.random() < 0.3 * strength else text
