"""Whatever a card or a prompt holds shows as text: on the terminal, in pages, Markdown, CSV, SARIF and CycloneDX."""

import csv
import json
import re
import unicodedata

import pytest
from markdown_it import MarkdownIt

from curate.cli.main import run_command
from curate.report.html import comparison_page
from curate.report.text_training import training_text
from tests.report.gallery import comparison, gallery
from tests.report.pages import assert_self_contained
from tests.report.values import training_report

pytest.importorskip("pyarrow")

PAYLOADS = {
    "script": "<script>alert('x')</script><img src=x onerror=alert(1)>",
    "ansi": "\x1b]0;owned\x07\x1b[31mred\x1b[2J",
    "bidi": "good \u202elicense\u202c \u2066mit\u2069 \u200f\u061c",
    "zero-width": "mi\u200bt\u200d \ufeff\u2060\u00ad\u3164\U000e0041",
    "formula": "=cmd|'/C calc'!A0",
    "sum": "  @SUM(1+1)*cmd|'/C calc'!A0",
    "markdown": "[click](javascript:alert(1)) ![x](https://evil.example/x.png) @everyone | cell",
    "template": "{{ 7 * 7 }} {0} %s ${jndi:x}",
}
MODEL_FORMATS = ("text", "markdown", "html", "sarif", "cyclonedx", "json", "jsonl")
CARD = """---
license: other
license_name: {quoted}
base_model: acme/parent
datasets: [{quoted}]
tags: [{quoted}]
---
# {text}

This model was trained on outputs of GPT-4 {text}. It may be used for research only {text}.
"""


def hidden(text):
    """Characters that steer a terminal or that nobody sees."""
    blank = "\u115f\u1160\u3164\uffa0\u2800"
    return {
        c for c in text if (unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs") or c in blank) and c not in "\n\t\r"
    }


def strings(value):
    """Every string of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from strings(one)
    elif isinstance(value, list):
        for one in value:
            yield from strings(one)


def check_shown(form, text):
    """Hold an output to what its reader needs."""
    assert text.strip()
    if form == "html":
        assert_self_contained(text)
        assert not hidden(text)
    elif form == "markdown":
        html = MarkdownIt("commonmark", {"html": True}).enable("table").render(text)
        assert not re.search(r"<(script|img|a|b|i)\b", html)
        assert "@everyone" not in text
        assert not hidden(text)
    elif form in ("sarif", "cyclonedx"):
        assert [one for one in strings(json.loads(text)) if hidden(one)] == []
    elif form in ("json", "jsonl"):
        assert not [c for c in text if unicodedata.category(c) == "Cc" and c != "\n"]
    else:
        assert not hidden(text)


@pytest.fixture
def curate(capsys, monkeypatch, tmp_path):
    for name in ("CURATE_CARDS", "CURATE_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = run_command([str(one) for one in arguments])
        told = capsys.readouterr()
        assert not hidden(told.err), told.err
        return code, told.out

    return run


@pytest.mark.parametrize("form", MODEL_FORMATS)
@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_hostile_card_is_text_in_every_format(curate, tmp_path, form, payload):
    folder = tmp_path / "cards" / "models" / "acme__x"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(CARD.format(quoted=json.dumps(payload), text=payload), encoding="utf-8")
    asked = ["acme/x"] if form == "json" else ["acme/x", payload]
    code, out = curate("check-license", *asked, "--cards", tmp_path / "cards", "--offline", "-f", form)
    assert code in (3, 4, 5)
    assert "acme/x" in out.replace("\\/", "/")
    check_shown(form, out)


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_a_hostile_name_is_text_in_the_error(curate, payload):
    assert curate("check-license", payload, "--offline")[0] in (2, 3, 4, 5)
    assert curate("analyze-prompts", payload.replace("\x00", "") + ".jsonl")[0] in (2, 5)


@pytest.mark.parametrize("form", ["text", "json", "html"])
def test_hostile_prompts_are_text_in_every_report(curate, tmp_path, form):
    rows = [
        {"prompt": f"{payload} how do I pay bill {i}", "license": payload, "id": f"{payload}{i}"}
        for payload in PAYLOADS.values()
        for i in range(2)
    ]
    rows += [{"prompt": f"what is the fee for card number {i}", "license": "mit", "id": str(i)} for i in range(6)]
    lines = [json.dumps(row) for row in rows] + [f'{{"prompt": "{payload}' for payload in PAYLOADS.values()]
    (tmp_path / "p.jsonl").write_text("\n".join(lines), encoding="utf-8")
    check_shown(form, curate("-q", "analyze-prompts", "p.jsonl", "-f", form)[1])
    check_shown(form, curate("filter-prompts", "p.jsonl", "--filter", "exact", "--filter", "license", "-f", form)[1])
    check_shown(form, curate("-q", "compare", "p.jsonl", "p.jsonl", "-f", form)[1])


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
def test_no_cell_of_a_csv_is_a_formula(curate, tmp_path, payload):
    rows = [{"prompt": payload, payload: "\t=1+1", "n": -2.5}, {"prompt": "- a list", payload: "-1", "n": 3}]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    code, _ = curate("filter-prompts", "p.jsonl", "--filter", "exact", "-o", "kept.csv")
    assert code == 0
    with (tmp_path / "kept.csv").open(encoding="utf-8", newline="") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row]
    assert [cell for cell in cells if cell.strip()[:1] in ("=", "+", "@") or cell[:1] in ("\t", "\r")] == []
    assert "-2.5" in cells, "a number stays a number"
    assert "-1" in cells
    assert "'- a list" in cells


def test_hostile_text_is_text_in_pages_of_runs_and_comparisons():
    payload = " ".join(PAYLOADS.values())
    check_shown("html", gallery(payload)["run"])
    check_shown("html", comparison_page(comparison(payload)))
    check_shown("text", training_text(training_report(hostile=payload)))
