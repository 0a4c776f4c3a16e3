"""A small run of ``bench/fuzz_cards.py``: noise neither crashes the gate nor is allowed by it."""

import importlib.util
import subprocess
import sys
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


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_hostile_cards_need_less_than_200_mb():
    code = """
import sys
sys.path.insert(0, ".")
from datetime import date
from curate.licenses.card import RawCard
from curate.licenses.check import check_license
from curate.policy import load_policy
class One:
    def fetch(self, ref):
        return RawCard("README.md", card) if str(ref) == "a/b" else None
bomb = "a: &a [x,x,x,x,x,x,x,x,x]\\n" + "".join(
    f"{n}: &{n} [{','.join(['*' + o] * 9)}]\\n" for o, n in zip("abcdefg", "bcdefgh"))
for text in (bomb, "tags: " + "[" * 200_000, "".join(f"k{n}: v\\n" for n in range(90_000)), "x: " + "y" * 4_000_000):
    card = f"---\\nlicense: mit\\n{text}\\n---\\n".encode() + b"gpt-4 generated text " * 100_000
    check_license("a/b", policy=load_policy("default"), source=One(), today=date(2026, 11, 26))
# ru_maxrss would tell of the process that started this one
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=BENCH.parents[1]
    )
    assert int(done.stdout) < 200
