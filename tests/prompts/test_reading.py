"""Reading prompts: formats, columns, and what one bad line costs."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.artifact import sha256_file
from curate.errors import PromptsError, RunError
from curate.prompts.promptset import write_prompts
from curate.prompts.reading import read_prompts
from tests.prompts.made import write_jsonl, write_texts


def test_one_bad_line_costs_that_line_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "one"}\n{"prompt": \n{"prompt": "three"}\n[1]\n{"prompt": 7}\n', encoding="utf-8")
    prompts = read_prompts(path)
    assert prompts.texts == ["one", "three"]
    assert prompts.ids == ["1", "3"]
    assert [line.place for line in prompts.bad_lines] == ["line 2", "line 4", "row 5"]


def test_strict_stops_at_the_first_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "one"}\nnot json\n', encoding="utf-8")
    with pytest.raises(PromptsError, match="line 2"):
        read_prompts(path, strict=True)


def test_bytes_that_are_no_text_cost_their_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"prompt": "one"}\n{"prompt": "\xff\xfe"}\n{"prompt": "nul \\u0000 inside"}\n\x00\x00\n')
    prompts = read_prompts(path)
    assert prompts.texts == ["one", "nul \x00 inside"]
    assert len(prompts.bad_lines) == 2


def test_the_three_formats_give_the_same_prompts_and_keep_every_column(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "prompt": "What is a fjord?", "licence": "MIT", "source": "hand", "extra": "x, y"},
        {"id": "b", "prompt": 'Say "hi"\nto all', "licence": "CC0-1.0", "source": "hand", "extra": "ü"},
    ]
    first = read_prompts(write_jsonl(tmp_path / "p.jsonl", rows))
    for ending in (".csv", ".parquet", ".jsonl"):
        path = tmp_path / f"copy{ending}"
        write_prompts(path, first)
        again = read_prompts(path)
        assert (again.ids, again.texts, again.licenses, again.sources) == (
            ["a", "b"],
            ["What is a fjord?", 'Say "hi"\nto all'],
            ["MIT", "CC0-1.0"],
            ["hand", "hand"],
        )
        assert again.table.column_names == ["id", "prompt", "licence", "source", "extra"]
        assert again.sha256 == sha256_file(path)


def test_values_of_no_one_type_come_back_as_they_were(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"prompt": "a", "x": 1},
        {"prompt": "b", "x": "one"},
        {"prompt": "c", "x": [1, "z"]},
    ]
    prompts = read_prompts(write_jsonl(tmp_path / "p.jsonl", rows))
    write_prompts(tmp_path / "out.jsonl", prompts)
    out = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert out == rows


@pytest.mark.parametrize("name", ["prompt", "text", "instruction", "question"])
def test_the_usual_text_columns_are_found(tmp_path: Path, name: str) -> None:
    assert read_prompts(write_jsonl(tmp_path / "p.jsonl", [{"n": 1, name: "hello you"}])).texts == ["hello you"]


def test_a_chat_gives_the_turns_of_the_user(tmp_path: Path) -> None:
    chat = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "Name a river"},
        {"role": "assistant", "content": "Rhine"},
        {"role": "user", "content": [{"type": "text", "text": "and a lake"}]},
    ]
    prompts = read_prompts(write_jsonl(tmp_path / "p.jsonl", [{"messages": chat}]))
    assert prompts.texts == ["Name a river\nand a lake"]


def test_a_named_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "p.jsonl", [{"body": "x", "n": 1}])
    assert read_prompts(path, column="body").texts == ["x"]
    with pytest.raises(PromptsError, match="it has: body, n"):
        read_prompts(path, column="nope")
    with pytest.raises(PromptsError, match="--column"):
        read_prompts(path)


def test_a_folder_is_read_file_by_file_with_numbers_that_name_the_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"prompt": "one"}])
    (tmp_path / "b.csv").write_text("prompt\ntwo\n", encoding="utf-8")
    prompts = read_prompts(tmp_path)
    assert prompts.texts == ["one", "two"]
    assert prompts.ids == ["a.jsonl:1", "b.csv:1"]


@pytest.mark.parametrize("ending", [".jsonl", ".json", ".csv", ".parquet"])
def test_missing_empty_and_broken_files_are_one_line_errors(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"p{ending}"
    with pytest.raises(PromptsError, match="no such file"):
        read_prompts(path)
    path.write_bytes(b"")
    with pytest.raises(PromptsError) as empty:
        read_prompts(path)
    assert "\n" not in str(empty.value)
    path.write_bytes(b"\x00\x01\x02 neither this nor that {")
    with pytest.raises(PromptsError) as broken:
        read_prompts(path)
    assert "\n" not in str(broken.value)


def test_a_csv_row_of_another_width_costs_itself(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("id,prompt\n1,one\n2,two,too many\n3,three\n", encoding="utf-8")
    prompts = read_prompts(path)
    assert prompts.ids == ["1", "3"]
    assert "3 fields" in str(prompts.bad_lines[0])


def test_a_parquet_file_of_no_rows_is_empty(tmp_path: Path) -> None:
    pq.write_table(pa.table({"prompt": pa.array([], type=pa.string())}), tmp_path / "p.parquet")
    with pytest.raises(PromptsError, match="no prompts"):
        read_prompts(tmp_path / "p.parquet")


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno
    import os

    prompts = read_prompts(write_texts(tmp_path / "p.jsonl", ["one", "two"]))
    out = tmp_path / "out.jsonl"
    out.write_text("old\n")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="disk full"):
        write_prompts(out, prompts)
    assert out.read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "p.jsonl"]


def test_a_lone_surrogate_does_not_stop_the_file(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "bad \\ud800 half"}\n', encoding="utf-8")
    assert read_prompts(path).texts == ["bad ? half"]
