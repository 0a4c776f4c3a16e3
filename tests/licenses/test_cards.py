"""Cards in the forms real ones take, and in the forms hostile ones take."""

# ruff: noqa: E501 – rows of a table and quoted sentences stand whole

import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.licenses.card import RawCard, parse_card
from curate.licenses.facts import load_catalogue
from curate.licenses.names import ModelRef, clean, repo_id_in
from curate.licenses.sources import FirstOf
from curate.licenses.texts import recognize

REF = ModelRef("model", "a/one")


def parse(content):
    """A card from its bytes or text."""
    return parse_card(
        REF, RawCard("models/a__one/README.md", content if isinstance(content, bytes) else content.encode())
    )


def verdict(judge, content):
    """The verdict on one card."""
    return judge("a/one", {"a/one": content}).verdict.value


def rules(judge, content):
    """The rules that found something on one card."""
    return {found.rule for found in judge("a/one", {"a/one": content}).findings}


def test_windows_line_ends_and_a_byte_order_mark_are_read(judge):
    assert verdict(judge, b"\xef\xbb\xbf---\r\nlicense: apache-2.0\r\n---\r\n# x\r\n") == "allow"


@pytest.mark.parametrize(
    "content",
    [
        "", "Entry not found", "---\n---\n", "---\nlicense: null\n---\n", "---\nlicense: []\n---\n",
        '---\nlicense: ""\n---\n', "---\nlicense: 2.0\n---\n", "---\nlicense: yes\n---\n", "---\n- license: mit\n---\n",
        "---\nlicense: {name: mit}\n---\n", "---\nlicense: [{id: mit}]\n---\n", "---\nlicense: mit\x00\n---\n",
        "---\nlicense: [mit\n---\n", "---\nlicense: mit\nx: 'unclosed\n---\n", "# MIT\nThis is MIT.\n",
        "---\nlicense: 2024-01-01\n---\n", b"---\nlicense: apache-2.0\nlicense_name: \xff\xfe\n---\n",
        "---\nlicense: apache-2.0\n---\n".encode("utf-16"), "---\nlicense: apache-2.0\n---\n---\nlicense: llama2\n---\n",
    ],
)  # fmt: skip
def test_what_is_no_license_is_reviewed_not_allowed(judge, content):
    assert verdict(judge, content) == "review"


def test_of_a_repeated_key_the_strictest_value_counts(judge):
    card = "---\nlicense: cc-by-nc-4.0\nlicense: apache-2.0\n---\n"
    assert verdict(judge, card) == "deny"
    assert "unreadable-card" in rules(judge, card)


@pytest.mark.parametrize("value", ["аpache-2.0", "ｍｉｔ", '"mit\u200b"', '"m\u00adit"'])
def test_letters_that_deceive_are_reported(judge, value):
    card = f"---\nlicense: {value}\n---\n"
    assert verdict(judge, card) == "review"
    assert "odd-characters" in rules(judge, card)


def test_an_invisible_character_does_not_hide_a_llama_base(judge):
    assert verdict(judge, '---\nlicense: mit\nbase_model: "meta-llama\u200b/Llama-3.1-8B"\n---\n') == "deny"


@contextmanager
def bounded_work():
    """What runs away takes minutes; the bound is in CPU seconds and far from what the work takes, on any machine."""
    started = time.process_time()
    yield
    assert time.process_time() - started < 20


def test_aliases_are_followed_within_a_budget(judge):
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with bounded_work():
        assert verdict(judge, f"---\nlicense: apache-2.0\n{bomb}datasets: *i\n---\n") == "review"


def test_merge_keys_do_not_hide_a_base(judge):
    card = "---\nd: &d\n  license: apache-2.0\n  base_model: meta-llama/Llama-3.1-8B\n<<: *d\n---\n"
    assert verdict(judge, card) == "deny"


@pytest.mark.parametrize("nest", ["[" * 9000, "{a: " * 9000, "- " * 9000, "? " * 9000])
def test_deep_nesting_is_refused_quickly(judge, nest):
    with bounded_work():
        assert verdict(judge, f"---\nlicense: apache-2.0\ntags: {nest}\n---\n") in ("review", "deny")


def test_twenty_thousand_parents_are_bounded(judge):
    parents = "".join(f"- nobody/none_{number}\n" for number in range(20_000))
    with bounded_work():
        decision = judge("a/one", {"a/one": f"---\nlicense: apache-2.0\nbase_model:\n{parents}---\n"})
    assert decision.verdict.value == "review"
    assert decision.lineage.truncated


@pytest.mark.parametrize(
    ("filler", "wanted"),
    [
        ("gpt-4 generated " * 60_000, "deny"),
        ("a" * 1_000_000, "allow"),
        ("non-commercial " * 60_000, "allow"),
        ("[" * 300_000, "allow"),
        ("llama " * 150_000, "allow"),
    ],
    ids=lambda text: text[:8],
)
def test_a_long_line_of_anything_is_read_in_bounded_time(judge, filler, wanted):
    with bounded_work():
        assert verdict(judge, f"---\nlicense: apache-2.0\n---\n{filler}") == wanted


def test_a_path_is_no_id_and_is_not_opened(judge):
    card = "---\nlicense: apache-2.0\nbase_model: ../../../../etc/passwd\n---\n"
    decision = judge("a/one", {"a/one": card})
    assert decision.verdict.value == "review"
    assert "root:" not in decision.to_json()


def test_evidence_names_file_field_and_line(judge):
    decision = judge("a/one", {"a/one": "---\nlanguage: en\nlicense: llama2\n---\n"})
    evidence = decision.findings[0].evidence[0]
    assert (evidence.source, evidence.line, evidence.quote) == ("models/README.md: license", 3, "llama2")


def test_the_tags_of_the_trl_template_are_read():
    card = parse(
        "---\nbase_model: google/gemma-2-9b-it\nlicence: license\ntags:\n- base_model:adapter:google/gemma-2-9b-it\n---\n"
    )
    assert {(parent.ref.name, parent.relation) for parent in card.parents} == {
        ("google/gemma-2-9b-it", "base"), ("google/gemma-2-9b-it", "adapter"),
    }  # fmt: skip


def test_an_adapter_names_its_base_beside_the_card(judge, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "meta-llama/Llama-2-7b-hf"}')
    assert judge(str(tmp_path)).verdict.value == "deny"


def test_a_license_file_beside_the_card_can_only_make_it_stricter(judge, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    (tmp_path / "LICENSE").write_text(
        "LLAMA 2 COMMUNITY LICENSE AGREEMENT\n\nLlama 2 Version Release Date: July 18, 2023\n"
    )
    assert judge(str(tmp_path)).verdict.value == "deny"
    (tmp_path / "LICENSE").write_text("MIT License\n\nPermission is hereby granted, free of charge, to any person\n")
    assert judge(str(tmp_path)).verdict.value == "allow"
    (tmp_path / "README.md").write_text("# no tag\n")
    assert judge(str(tmp_path)).verdict.value == "review"


def test_a_modified_mit_text_beside_an_mit_tag_is_not_taken_for_mit(judge, tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    rider = "Our only modification: the name must be displayed if monthly active users exceed a number. " * 4
    (tmp_path / "LICENSE").write_text(f"Modified MIT License\n\nPermission is hereby granted, free of charge\n{rider}")
    assert judge(str(tmp_path)).verdict.value == "review"


def test_the_license_of_this_project_is_recognized():
    identity = recognize((Path(__file__).parents[2] / "LICENSE").read_text(encoding="utf-8"), load_catalogue())
    assert (identity.license, identity.how, identity.is_certain) == ("apache-2.0", "whole text", True)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("https://huggingface.co/meta-llama/Llama-2-7b", "meta-llama/Llama-2-7b"), ("a/b@main", "a/b"),
        ("https://huggingface.co/datasets/x/y/blob/main/README.md", "x/y"), ("gpt2", "gpt2"), ("../x", ""),
        ("C:\\models\\llama", ""), ("/root/models/x", ""), ("a/b/c", ""), ("", ""), ("a b", ""),
    ],
)  # fmt: skip
def test_ids_are_found_in_what_people_write(value, name):
    assert repo_id_in(value) == name


def test_plain_names_are_not_called_odd():
    assert clean("Apache-2.0").oddity == ""
    assert clean("licença livre").oddity == ""


class NoCards:
    """A source without cards."""

    def fetch(self, ref):
        return None


BYTES = st.one_of(
    st.binary(max_size=400),
    st.text(max_size=400).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.text(alphabet="---\n:[]{}&*!|>'\"#%@` \tlicense:mtapche20basemodel/", max_size=300).map(
        lambda text: f"---\n{text}\n---\n".encode()
    ),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=BYTES)
def test_no_bytes_crash_the_parser_and_noise_is_never_allowed(judge, content):
    decision = judge("a/one", {"a/one": content})
    if decision.verdict.value == "allow":
        claimed = parse(content).licenses
        assert any(claim.text for claim in claimed)
    assert decision.digest()
    assert FirstOf([NoCards()]).fetch(REF) is None
