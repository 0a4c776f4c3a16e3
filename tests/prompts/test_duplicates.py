"""Duplicates: what is one, what only looks like one, and which of a group stays."""

import re
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.prompts import minhash
from curate.prompts.clusters import similar_pairs
from curate.prompts.duplicates import exact, near, semantic
from curate.prompts.forms import (
    IDENTIFIER,
    INVISIBLE,
    differ_in_guarded,
    exact_form,
    fold_lookalikes,
    guard_key,
    guarded_parts,
    loose_form,
)
from curate.prompts.minhash import jaccard, likely_pairs, shingles, signatures
from curate.prompts.reading import read_prompts
from curate.prompts.wording import edits, is_typo, same_wording, words_changed_places
from curate.prompts.work import Work
from tests.prompts.made import all_pairs, fake_judge, varied, write_jsonl, write_texts


def work_on(tmp_path: Path, texts: list[str]) -> Work:
    return Work(read_prompts(write_texts(tmp_path / "p.jsonl", texts)))


@pytest.mark.parametrize(
    "other",
    [
        "HOW DO I POACH AN EGG?",
        "how do i poach an egg",
        "How  do I\tpoach an egg ?",
        "How do I po\u200bach an egg?",
        "Ｈｏｗ do I poach an egg?",
    ],
)
def test_case_space_punctuation_and_invisible_letters_make_no_other_prompt(tmp_path: Path, other: str) -> None:
    gone = list(exact(work_on(tmp_path, ["How do I poach an egg?", other])))
    assert [(one.row, one.because_of) for one in gone] == [(1, "r0")]


@pytest.mark.parametrize(
    "other",
    [
        "How do I poahc an egg?",
        "Hello, how do I poach an egg? Thanks in advance!",
        "How do I 🥚 poach an egg? 🙏",
        "Hоw dо I pоach an egg?",
        "Please how do I poach an egg, thank you",
    ],
)
def test_typing_courtesy_emoji_and_lookalike_letters_are_near(tmp_path: Path, other: str) -> None:
    gone = list(near(work_on(tmp_path, ["How do I poach an egg?", other, "What is a fjord?"])))
    assert [(one.row, one.because_of) for one in gone] == [(1, "r0")]


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Book a table for 4 people at eight", "Book a table for 6 people at eight"),
        ("Set the oven to 350 degrees", "Set the oven to 351 degrees"),
        ("Why is my card working abroad?", "Why is my card not working abroad?"),
        ("What does `parse_csv` return here?", "What does `parse_tsv` return here?"),
        ("Remind me on Monday to call mum", "Remind me on Friday to call mum"),
        ("Add 1.5 cups of flour to it", "Add 15 cups of flour to it"),
    ],
)
def test_another_number_negation_or_identifier_makes_another_prompt(tmp_path: Path, one: str, two: str) -> None:
    assert differ_in_guarded(one, two)
    work = work_on(tmp_path, [one, two])
    assert list(exact(work)) == list(near(work)) == list(semantic(work, threshold=0.5)) == []


def test_who_beat_whom_is_not_the_same_either_way(tmp_path: Path) -> None:
    work = work_on(tmp_path, ["Harvard defeated Yale in the final", "Yale defeated Harvard in the final"])
    assert list(near(work)) == list(semantic(work)) == []


def test_the_row_with_the_allowed_license_stays(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "first", "prompt": "Name a river", "license": "CC-BY-NC-4.0"},
        {"id": "second", "prompt": "Name a river.", "license": "MIT"},
    ]
    work = Work(read_prompts(write_jsonl(tmp_path / "p.jsonl", rows)), judge=fake_judge)
    assert [work.prompts.ids[one.row] for one in exact(work)] == ["first"]


def test_a_group_loses_all_but_one_and_names_the_one_that_stays(tmp_path: Path) -> None:
    texts = ["tune a ukulele today"] * 5
    gone = list(near(work_on(tmp_path, texts)))
    assert [one.row for one in gone] == [1, 2, 3, 4]
    assert {one.because_of for one in gone} == {"r0"}


def test_prompts_on_one_topic_are_not_duplicates(tmp_path: Path) -> None:
    work = work_on(tmp_path, varied())
    assert list(exact(work)) == list(near(work)) == []


def test_typing_errors_are_told_from_other_words() -> None:
    assert is_typo("accont", "account")
    assert not is_typo("june", "july")
    assert not is_typo("card", "cars")
    assert same_wording("open yesterdays last paymnt", "open yesterdays last payment")
    assert not same_wording("add a song to my study playlist", "add a song to my party playlist")
    assert words_changed_places("harvard beat yale badly", "yale beat harvard badly")


def test_edits_counts_a_swap_of_neighbours_once() -> None:
    assert edits("abcd", "abdc") == 1
    assert edits("kitten", "sitting") == 3
    assert edits("", "abc") == 3


def test_jaccard_is_by_hand() -> None:
    assert shingles("abcdef") == {"abcd", "bcde", "cdef"}
    assert jaccard(frozenset("ab"), frozenset("bc")) == pytest.approx(1 / 3)


GUARDED = ["don", "dont", "n't", "'t", "’t", "can", "not", "no", "_", "(", ")", "`", "a.b", "3", "1,000", "five", "é"]
GUARDED += ["ﬁve", "monday", " ", " ", "won", "aint", "x", "İ", "ſ", "ß", "\u200b", "К", "о", "cannot"]
NEGATION = re.compile(
    r"\b(?:do|does|did|is|are|was|were|has|have|had|ca|wo|would|could|should|must|need|ai|might)n['’]?t\b"
    r"|\b(?:not|no|never|none|neither|nor|without|cannot)\b"
)


@given(st.lists(st.sampled_from(GUARDED), max_size=9).map("".join))
@settings(max_examples=400, deadline=None)
def test_negations_and_identifiers_are_those_that_the_whole_patterns_find(text: str) -> None:
    plain = unicodedata.normalize("NFKC", text).translate(INVISIBLE).casefold()
    plain = plain if plain.isascii() else fold_lookalikes(plain)
    _, negations, names = guarded_parts(text)
    assert negations == len(NEGATION.findall(plain))
    assert names == tuple(
        sorted({next(part for part in found if part) for found in IDENTIFIER.findall(plain) if any(found)})
    )


@given(*[st.lists(st.sampled_from(GUARDED), max_size=6).map("".join)] * 2)
@settings(max_examples=400, deadline=None)
def test_two_texts_have_one_guard_key_just_when_no_guarded_part_tells_them_apart(one: str, two: str) -> None:
    assert (guard_key(one) == guard_key(two)) == (not differ_in_guarded(one, two))


@given(st.text(max_size=60))
@settings(max_examples=150, deadline=None)
def test_the_forms_are_idempotent(text: str) -> None:
    assert exact_form(exact_form(text)) == exact_form(text)
    assert loose_form(loose_form(text)) == loose_form(text)


def test_equal_texts_always_share_a_band() -> None:
    signed = signatures(["a longer text to sign", "something else entirely", "a longer text to sign"])
    pairs, similar = all_pairs(likely_pairs(signed, 0.9))
    assert pairs.tolist() == [[0, 2]]
    assert similar.tolist() == [1.0]


def made_signatures(seed: int) -> np.ndarray:
    """Signatures of groups of rows that agree in most permutations, and of some that agree in none."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, 65536, (12, 128))[draw.integers(0, 12, 200)]
    return np.where(draw.random((200, 128)) < 0.45, draw.integers(0, 65536, (200, 128)), group).astype(np.uint16)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_likely_pairs_are_the_most_alike_of_the_next_few_in_every_bucket(seed: int) -> None:
    signed = made_signatures(seed)
    met = set()
    for band in range(minhash.BANDS):
        buckets: dict[bytes, list[int]] = {}
        for row, part in enumerate(minhash.band_of(signed, band)):
            buckets.setdefault(part.tobytes(), []).append(row)
        for rows in buckets.values():
            met |= {(one, two) for place, two in enumerate(rows) for one in rows[max(0, place - 4) : place]}
    wanted = []
    for later in range(200):
        mine = [(-int((signed[one] == signed[two]).sum()), one) for one, two in met if two == later]
        wanted += [(one, later, -alike / 128) for alike, one in sorted(mine)[:12] if -alike >= 128 * 0.199]
    pairs, similar = all_pairs(likely_pairs(signed, 0.3))
    assert [(*pair, alike) for pair, alike in zip(pairs.tolist(), similar.tolist(), strict=True)] == wanted


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_when_rows_go_only_those_that_met_one_of_them_have_other_likely_pairs(seed: int) -> None:
    signed, everyone = made_signatures(seed), np.arange(200)
    gone = np.random.default_rng(seed).random(200) < 0.1
    left = np.flatnonzero(~gone)
    met = minhash.met_any(signed, everyone, gone)
    assert 0 < met[left].sum() < len(left)
    before, after = all_pairs(likely_pairs(signed, 0.3))[0], left[all_pairs(likely_pairs(signed, 0.3, places=left))[0]]
    again = left[all_pairs(likely_pairs(signed, 0.3, places=left, wanted=met[left]))[0]]
    assert np.array_equal(again, after[met[after[:, 1]]])
    assert np.array_equal(after[~met[after[:, 1]]], before[~(met | gone)[before[:, 1]]])


@given(st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_clustered_search_finds_nearly_every_pair_the_exact_one_finds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    base = generator.normal(size=(1200, 32))
    noisy = base[:600] + 0.15 * generator.normal(size=(600, 32))
    vectors = np.concatenate([base, noisy, generator.normal(size=(600, 32))]).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = np.argwhere(np.triu(vectors @ vectors.T >= 0.9, k=1))
    found, cosines = all_pairs(similar_pairs(vectors, 0.9, clusters=70))
    assert (cosines >= 0.9).all()
    wanted = {tuple(pair) for pair in whole.tolist()}
    got = {tuple(pair) for pair in found.tolist()}
    assert got <= wanted
    assert len(got) >= 0.97 * len(wanted)
