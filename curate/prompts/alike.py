"""Which candidate pairs may have the same wording, told for many pairs at once before any is aligned word by word.

Two texts of the same wording (``wording.same_wording``) begin, behind the words they begin with alike, with a word of
courtesy or with letters that a typing error of at most three edits turns into the other's; and end so. A pair that does
not is no duplicate for certain, and most pairs of one template are of that kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from curate.prompts.lexicon import wordlist
from curate.prompts.scratch import ArrayFile
from curate.prompts.word_counts import WordCounts
from curate.prompts.wording import MAX_WORDS

if TYPE_CHECKING:
    import numpy as np

LETTERS = 15
"""How far the edit distance of two beginnings is followed; longer spans must be alike so far, too."""
BAND = 3
"""No typing error has more edits (``wording.is_typo``)."""
BATCH = 20_000
FORMS = 10_000


class Wordings:
    """The words of loose forms, set after set, as arrays: their hashes, and their letters without blanks.

    A word's hash is Python's own: 64 bits, keyed anew in every process.
    """

    def __init__(self, *sets: Sequence[str]) -> None:
        import numpy as np

        flat, letters, places, bounds = (ArrayFile(kind) for kind in (np.int64, np.uint8, np.int64, np.int64))
        for file in (places, bounds):
            file.add(np.zeros(1, dtype=np.int64))
        written = 0
        for forms, start in ((one, start) for one in sets for start in range(0, len(one), FORMS)):
            batch = [form.split() for form in forms[start : start + FORMS]]
            bounds.add(flat.rows + np.cumsum([len(words) for words in batch]))
            words = [word for words in batch for word in words]
            flat.add(np.fromiter(map(hash, words), dtype=np.int64, count=len(words)))
            joined = "".join(words).encode("utf-32-le", "replace")
            letters.add(np.frombuffer(joined, dtype=np.uint32).astype(np.uint8))
            lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
            places.add(written + np.cumsum(lengths))
            written += int(lengths.sum())
        self.flat, self.letters = flat.array(), letters.array()
        self.places = places.array()
        """Where the letters of each word begin."""
        self.begins, self.ends = bounds.array()[:-1], bounds.array()[1:]
        self.courtesy = np.array([hash(word) for word in wordlist("courtesy")], dtype=np.int64)

    def rows_with(self, forms: int) -> WordCounts:
        """In how many of the first so many forms each word stands."""
        return WordCounts(self.flat, self.begins[:forms], self.ends[:forms])

    def may_be_alike(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(pairs,) False where the forms of two rows certainly differ in wording."""
        import numpy as np

        found = np.ones(len(first), dtype=bool)
        for start in range(0, len(first), BATCH):
            piece = slice(start, start + BATCH)
            found[piece] = self._look(first[piece], second[piece])
        return found

    def _look(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        import numpy as np

        low_one, high_one = self.begins[first], self.ends[first]
        low_two, high_two = self.begins[second], self.ends[second]
        shared = self._shared(low_one, low_two, np.minimum(high_one - low_one, high_two - low_two), 1)
        low_one, low_two = low_one + shared, low_two + shared
        shared = self._shared(high_one - 1, high_two - 1, np.minimum(high_one - low_one, high_two - low_two), -1)
        high_one, high_two = high_one - shared, high_two - shared
        longest = np.maximum(self.ends[first] - self.begins[first], self.ends[second] - self.begins[second])
        asked = np.flatnonzero((high_one > low_one) & (high_two > low_two) & (longest <= MAX_WORDS))
        spans = [(low_one[asked], high_one[asked]), (low_two[asked], high_two[asked])]
        for step in (1, -1):
            alike = self._begins_alike(spans, step)
            spans = [(low[alike], high[alike]) for low, high in spans]
            asked, gone = asked[alike], asked[~alike]
            longest[gone] = -1
        return np.asarray(longest >= 0)

    def _shared(self, one: np.ndarray, two: np.ndarray, most: np.ndarray, step: int) -> np.ndarray:
        """How many words two runs have alike, going forwards or backwards from a place."""
        import numpy as np

        shared = np.zeros(len(one), dtype=np.int64)
        going = np.flatnonzero(most > 0)
        while len(going):
            place = shared[going] * step
            going = going[self.flat[one[going] + place] == self.flat[two[going] + place]]
            shared[going] += 1
            going = going[shared[going] < most[going]]
        return shared

    def _begins_alike(self, spans: list[tuple[np.ndarray, np.ndarray]], step: int) -> np.ndarray:
        """Whether the first (or last) differing spans of words may be one another's typing error, or are courtesy."""
        import numpy as np

        heads = [low if step == 1 else high - 1 for low, high in spans]
        found = np.isin(self.flat[heads[0]], self.courtesy) | np.isin(self.flat[heads[1]], self.courtesy)
        asked = np.flatnonzero(~found)
        runs = [self._run(low[asked], high[asked], step) for low, high in spans]
        found[asked] = near_prefixes(*runs[0], *runs[1])
        return np.asarray(found)

    def _run(self, low: np.ndarray, high: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
        """(rows, letters) the first letters of a run of words in its direction, 0 behind its end; and word ends."""
        import numpy as np

        size = LETTERS + BAND
        begin, end = self.places[low].astype(np.int64), self.places[high].astype(np.int64)
        place = np.arange(size)[None, :]
        where = begin[:, None] + place if step == 1 else end[:, None] - 1 - place
        inside = place < (end - begin)[:, None]
        letters = np.where(inside, self.letters[np.where(inside, where, 0)], 0).astype(np.int16)
        ends = np.zeros((len(low), size + 1), dtype=bool)
        word = low.copy() if step == 1 else high - 1
        long = np.zeros(len(low), dtype=np.int64)
        going = np.arange(len(low))
        while len(going):
            long[going] += self.places[word[going] + 1] - self.places[word[going]]
            going = going[long[going] <= size]
            ends[going, long[going]] = True
            word[going] += step
            going = going[(word[going] < high[going]) & (word[going] >= low[going])]
        return letters, ends


def near_prefixes(one: np.ndarray, ends_one: np.ndarray, two: np.ndarray, ends_two: np.ndarray) -> np.ndarray:
    """Whether runs of whole words at the beginnings of two texts may be one another's typing error.

    The optimal string alignment distance within a band, for all rows at once. Runs longer than ``LETTERS`` count as
    alike where their beginnings are.
    """
    import numpy as np

    rows = len(one)
    far = np.full(rows, 100, dtype=np.int16)
    found = np.zeros(rows, dtype=bool)
    older: dict[int, np.ndarray] = {}
    row = {j: np.full(rows, j, dtype=np.int16) for j in range(BAND + 1)}
    for i in range(1, LETTERS + 1):
        last, row = row, {}
        letter = one[:, i - 1]
        for j in range(max(0, i - BAND), i + BAND + 1):
            if j == 0:
                row[0] = np.full(rows, i, dtype=np.int16)
                continue
            other = two[:, j - 1]
            differs = ((letter != other) | (letter == 0)).astype(np.int16)
            best = np.minimum(last.get(j - 1, far) + differs, np.minimum(last.get(j, far), row.get(j - 1, far)) + 1)
            if i > 1 and j > 1:
                swapped = (letter == two[:, j - 2]) & (one[:, i - 2] == other) & (letter != 0)
                best = np.where(swapped, np.minimum(best, older.get(j - 2, far) + 1), best)
            row[j] = best
            longest = max(i, j)
            allowed = 1 if longest <= 4 else 2 if longest <= 11 else BAND
            found |= ends_one[:, i] & ends_two[:, j] & (best <= allowed)
        older = last
    return np.asarray(found | (np.min(np.stack(list(row.values())), axis=0) <= BAND))
