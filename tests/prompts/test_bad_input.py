"""Input that is wrong in ways seen in the wild: a clear word, and no row lost without a reason."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from curate.cli.main import run_command
from curate.errors import PromptsError
from curate.policy import load_policy
from curate.progress import Progress, silent
from curate.prompts.analyze import analyze_prompts
from curate.prompts.filters import filter_prompts
from curate.prompts.reading import read_prompts
from curate.prompts.results import EmbedderRef
from curate.prompts.store import VectorStore
from tests.prompts.made import varied, write_jsonl, write_texts


def run(*arguments: object) -> int:
    return run_command([str(one) for one in arguments])


def test_lines_that_are_not_utf8_cost_themselves_with_their_number(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"prompt": "Name a river"}\n' + '{"prompt": "Grüße"}\n'.encode("latin-1"))
    prompts = read_prompts(path)
    assert len(prompts) == 1
    assert [str(line) for line in prompts.bad_lines] == ["line 2: not UTF-8"]
    table = tmp_path / "p.csv"
    table.write_bytes("prompt\nName a river\nGrüße\n".encode("latin-1"))
    assert len(read_prompts(table).bad_lines) == 1


def test_nul_bytes_cost_their_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"prompt": "Name a river"}\n\x00\x00\x00\n{"prompt": "a\x00b"}\n')
    assert len(read_prompts(path).bad_lines) == 2


def test_a_line_of_a_hundred_megabytes_costs_itself_and_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    with path.open("wb") as stream:
        stream.write(b'{"prompt": "')
        for _ in range(100):
            stream.write(b"a" * (1 << 20))
        stream.write(b'"}\n{"prompt": "Name a river"}\n')
    prompts = read_prompts(path)
    assert prompts.texts == ["Name a river"]
    assert str(prompts.bad_lines[0]) == "line 1: longer than 64 MiB"


def test_a_csv_of_a_million_columns_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text(",".join(f"c{n}" for n in range(1_000_000)) + "\n", encoding="utf-8")
    with pytest.raises(PromptsError, match="1000000 columns"):
        read_prompts(path)


def test_deeply_nested_json_costs_its_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    deep = "[" * 100_000 + "]" * 100_000
    path.write_text(f'{{"prompt": {deep}}}\n{{"prompt": {{"text": "x"}}}}\n{{"prompt": "Name a river"}}\n')
    prompts = read_prompts(path)
    assert prompts.texts == ["Name a river"]
    assert len(prompts.bad_lines) == 2


def test_an_empty_reference_is_wrong_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, empty = write_texts(tmp_path / "p.jsonl", varied()), tmp_path / "r.jsonl"
    empty.write_text("")
    assert run("filter-prompts", file, "--reference", empty) == 5
    assert "r.jsonl: no prompts in it" in capsys.readouterr().err


def test_a_small_reference_is_told_with_what_it_costs(tmp_path: Path) -> None:
    prompts = read_prompts(write_texts(tmp_path / "p.jsonl", varied()))
    _, report = filter_prompts(prompts, chain={"off_domain": {}}, reference=prompts)
    assert "under 300" in report.notes[0]
    assert "0.89" in report.notes[0]


def test_all_rows_dropped_is_a_denial_with_a_reason_for_each(tmp_path: Path) -> None:
    file = write_texts(tmp_path / "p.jsonl", ["", "🙂", "   "])
    assert run("filter-prompts", file, "--filter", "garbage", "--dropped", tmp_path / "d.jsonl") == 3
    assert len((tmp_path / "d.jsonl").read_text().splitlines()) == 3


def test_one_row_goes_through_the_whole_chain(tmp_path: Path) -> None:
    prompts = read_prompts(write_texts(tmp_path / "p.jsonl", ["How do I poach an egg?"]))
    kept, report = filter_prompts(prompts, chain=load_policy("default").prompts.filters)
    assert len(kept) + len(report.drops) == 1


class Broken:
    """An embedder that gives what it should not."""

    is_cheap = True

    def __init__(self, dimensions: int, value: float) -> None:
        self.ref = EmbedderRef(spec="broken", name="broken", sha256="b" * 64, dimensions=4)
        self.made = dimensions, value

    def encode(self, texts: Sequence[str], *, progress: Progress = silent) -> np.ndarray:
        return np.full((len(texts), self.made[0]), self.made[1], dtype=np.float32)


def test_vectors_that_are_not_finite_or_of_another_size_are_refused_by_name(tmp_path: Path) -> None:
    prompts = read_prompts(write_texts(tmp_path / "p.jsonl", varied()))
    with pytest.raises(PromptsError, match=r"embedder broken: a vector that is not finite, for text 1"):
        analyze_prompts(prompts, store=VectorStore(Broken(4, float("nan"))))
    with pytest.raises(PromptsError, match=r"embedder broken: gave \(\d+, 5\)"):
        analyze_prompts(prompts, store=VectorStore(Broken(5, 1.0)))


ANSWERS = {
    "": "empty",
    "I'm sorry, but I can't help with that request.": "refused",
    "As an AI language model, I do not have personal opinions.": "refused",
    "I cannot assist with this.": "refused",
    "First you boil the water, then you add the": "cut off",
    "```python\nprint('hello')": "cut off",
    "no no no no no no no no no no no no no no no no": "the same characters over and over",
}
GOOD = ["42", "Paris", "Water boils at 100 degrees.", "I can't recommend this book enough: read it.", "```\nls\n```"]


def test_answers_that_are_empty_refused_cut_off_or_looping_are_told(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": str(n), "prompt": "x", "answer": a} for n, a in enumerate([*ANSWERS, *GOOD])
    ]
    file = write_jsonl(tmp_path / "p.jsonl", rows)
    dropped = tmp_path / "d.jsonl"
    assert run("filter-prompts", file, "--column", "answer", "--filter", "garbage", "--dropped", dropped) == 0
    drops = [json.loads(line) for line in dropped.read_text().splitlines()]
    assert [drop["reason"] for drop in drops] == list(ANSWERS.values())
