"""A small run of ``bench/fuzz_cards.py``: noise neither crashes the gate nor is allowed by it."""

import importlib.util
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench/fuzz_cards.py"


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz_cards", BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", [1, 2])
def test_changed_cards_noise_and_changed_policies_are_survived(fuzz, seed):
    ends, slowest = fuzz.run(240, seed)
    assert sum(ends.values()) == 240
    assert slowest < 2


@pytest.mark.parametrize(
    "block",
    [
        "? - a\n",
        "? {a: b}\n: c\n",
        "x: !!python/object:os.system {}\n",
        "x: !mine 3\n",
        "tags:\n- ? [a]\n  : b\n",
    ],
)
def test_a_block_that_plain_loaders_refuse_is_not_trusted(judge, block):
    decision = judge("a/one", {"a/one": f"---\nlicense: mit\n{block}---\n"})
    assert decision.verdict.value == "review"
    assert decision.findings
