"""Names of repositories as folders: no id is taken for another."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.gate import is_path
from curate.licenses.check import parse_ref
from curate.licenses.names import ModelRef, is_repo_id, repo_folder
from curate.licenses.sources import CardFolder

PART = st.text("aB_.-", min_size=1, max_size=6).map("a".__add__)
IDS = st.one_of(PART, st.tuples(PART, PART).map("/".join)).filter(is_repo_id)


@given(IDS, IDS)
def test_two_ids_never_share_a_place(one: str, two: str) -> None:
    assert (repo_folder(one).lower() == repo_folder(two).lower()) == (one.lower() == two.lower())


def test_a_folder_answers_for_the_id_whose_slash_its_first_underscores_are(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "a__b__c"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    source = CardFolder(tmp_path)
    assert source.fetch(ModelRef("model", "a/b__c")) is not None
    assert source.fetch(ModelRef("model", "A/B__c")) is not None
    assert source.fetch(ModelRef("model", "a__b/c")) is None
    assert source.fetch(ModelRef("model", "a__b__c")) is None


def test_ordinary_ids_are_readable_folders() -> None:
    assert repo_folder("Org-1/some_model-7B.v2") == "Org-1__some_model-7B.v2"
    assert repo_folder("gpt2") == "gpt2"
    assert ModelRef("dataset", "o/d").place == "datasets/o__d"


@pytest.mark.parametrize("ref", ["./a", "../a/b", "/a/b", "~/a", ".", "C:\\a\\b", "C:/a/b", "\\\\host\\share\\a"])
def test_what_is_written_as_a_path_of_any_system_is_one(ref: str) -> None:
    assert is_path(ref)
    assert parse_ref(ref).folder


@pytest.mark.parametrize(
    "ref", ["gpt2", "a/b", "a/b@main", "a_b/C.d-e", "api:openai/gpt-4o", "dataset:a/b", "embedded", ""]
)
def test_names_are_no_paths(ref: str) -> None:
    assert not is_path(ref)
