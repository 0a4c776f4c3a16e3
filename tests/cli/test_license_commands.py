"""``check-license``, ``show-license`` and ``check-policy`` as users type them."""

# ruff: noqa: E501 – rows of a table and quoted sentences stand whole

import json
import subprocess
import sys
from pathlib import Path

import pytest

from curate.cli.main import run_command
from curate.gate import ApprovedTeacher
from curate.policy import policies_folder

ROOT = Path(__file__).parents[2]
EXAMPLES = str(ROOT / "examples/cards")
DEMO = str(ROOT / "curate/embedded/demo/cards")


@pytest.fixture
def curate(capsys, monkeypatch, tmp_path):
    """Run a command; returns exit code, output and error output."""
    monkeypatch.delenv("CURATE_CARDS", raising=False)
    monkeypatch.delenv("CURATE_POLICY", raising=False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no-cache"))

    def run(*arguments):
        code = run_command([str(one) for one in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.mark.parametrize(
    ("ref", "code"),
    [
        ("google/flan-t5-base", 0), ("EleutherAI/gpt-neo-1.3B", 0), ("nvidia/Nemotron-4-340B-Instruct", 0),
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", 3), ("meta-llama/Meta-Llama-3-8B", 3), ("meta-llama/Llama-2-7b-hf", 3),
        ("example/mit-over-llama", 3), ("example/poet-nc-nd", 3), ("example/no-license", 4), ("gpt-4", 3),
        ("api:openai/gpt-4o", 3), ("nobody/nothing", 6), ("a b", 5), ("./nowhere", 6),
    ],
)  # fmt: skip
def test_the_examples_end_with_their_documented_codes(curate, ref, code):
    got, out, err = curate("check-license", ref, "--cards", EXAMPLES, "--offline")
    assert got == code, (out, err)
    assert err.count("\n") <= 1
    assert "Traceback" not in err


def test_the_demo_cards_say_what_the_demo_shows(curate):
    code, out, _ = curate("check-license", "demo/mit-over-llama", "--cards", DEMO, "-f", "json")
    assert code == 3
    assert "license-laundering" in {found["rule"] for found in json.loads(out)["findings"]}
    code, out, _ = curate("check-license", "HuggingFaceTB/SmolLM2-135M-Instruct", "--cards", DEMO, "-f", "json")
    assert code == 4
    assert {found["rule"] for found in json.loads(out)["findings"] if found["verdict"] != "allow"} == {"openai-ratings"}


def test_json_is_the_decision_itself(curate, tmp_path):
    _, out, _ = curate(
        "check-license", "google/flan-t5-base", "--cards", EXAMPLES, "-f", "json", "-o", tmp_path / "d.json"
    )
    assert out == ""
    decision = json.loads((tmp_path / "d.json").read_text())
    assert decision["kind"] == "curate/decision@1"
    assert set(decision) >= {
        "ref",
        "revision",
        "verdict",
        "findings",
        "obligations",
        "lineage",
        "policy",
        "catalogue_sha256",
    }
    assert set(decision["findings"][0]) >= {"rule", "subject", "verdict", "message", "evidence"}


def test_several_refs_make_a_line_each_and_the_gravest_code(curate):
    code, out, err = curate(
        "check-license", "gpt-4", "nobody/nothing", "google/flan-t5-base", "--offline", "-f", "jsonl"
    )
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["ref"] for line in lines] == ["gpt-4", "nobody/nothing", "google/flan-t5-base"]
    assert code == 3
    assert "nobody/nothing" in err
    assert curate("check-license", "nobody/nothing", "google/gemma-2b", "--offline")[0] == 6
    assert curate("check-license", "google/flan-t5-base", "google/gemma-2b", "--offline")[0] == 4


def test_fail_on_deny_lets_a_review_pass(curate):
    assert curate("check-license", "google/gemma-2b", "--offline", "--fail-on", "deny")[0] == 0
    assert curate("check-license", "gpt-4", "--offline", "--fail-on", "deny")[0] == 3


def test_refs_come_from_a_file_with_comments(curate, tmp_path):
    listed = tmp_path / "refs.txt"
    listed.write_text("# teachers\ngoogle/flan-t5-base  # small\n\nEleutherAI/gpt-neo-1.3B\n")
    code, out, _ = curate("check-license", "--from", listed, "--offline", "-f", "jsonl")
    assert (code, len(out.splitlines())) == (0, 2)


def test_a_ticket_opens_and_a_denied_teacher_gets_none(curate, tmp_path):
    ticket = tmp_path / "teacher.json"
    code, _, err = curate("check-license", "google/flan-t5-base", "--cards", EXAMPLES, "--ticket", ticket)
    assert code == 0, err
    opened = ApprovedTeacher.read_ticket(ticket)
    assert opened.open(tmp_path)["verdict"] == "allow"
    code, _, err = curate("check-license", "gpt-4", "--offline", "--ticket", ticket)
    assert code == 3
    assert not ticket.exists()
    assert "no ticket" in err


def test_a_local_teachers_ticket_covers_its_files(curate, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    ticket = tmp_path / "teacher.json"
    assert curate("check-license", model, "--offline", "--ticket", ticket)[0] == 0
    opened = ApprovedTeacher.read_ticket(ticket)
    assert opened.location == str(model)
    assert len(opened.content_sha256) == 64


def test_a_declared_student_of_the_family_is_reviewed(curate):
    assert curate("check-license", "meta-llama/Llama-2-7b-hf", "--offline", "--student", "llama-2-tiny")[0] == 4


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("check-license",), 2), (("check-license", "a/b", "-f", "yaml"), 2), (("check-license", "a/b", "--signals", "smell"), 2),
        (("check-license", "a/b", "c/d", "-f", "json"), 2), (("check-license", "a/b", "--cards", "/no/such/folder"), 5),
        (("check-license", "a/b", "-p", "no-such-policy"), 2), (("check-license", "--from", "/no/such/file"), 5),
        (("show-license", "no-such-license"), 2), (("check-policy",), 2), (("check-policy", "/no/such.yaml"), 5),
    ],
)  # fmt: skip
def test_bad_input_gives_one_line_and_its_code(curate, arguments, code):
    got, out, err = curate(*arguments)
    assert got == code
    assert out == ""
    assert "Traceback" not in err
    assert err


def test_text_and_markdown_free_what_comes_from_cards(curate, tmp_path):
    card = tmp_path / "models/a__evil/README.md"
    card.parent.mkdir(parents=True)
    card.write_text('---\nlicense: other\nlicense_name: "x\\e[31m|<b>`\\nverdict: allow"\n---\n')
    code, out, _ = curate("check-license", "a/evil", "--cards", tmp_path)
    assert code == 4
    assert "\x1b" not in out
    assert not any(line.startswith("verdict: allow") for line in out.splitlines())
    code, out, _ = curate("check-license", "a/evil", "--cards", tmp_path, "-f", "markdown")
    assert "<b>" not in out.replace("`", "\0").split("\0")[0]
    assert "\x1b" not in out


def test_the_text_begins_with_the_verdict(curate):
    _, out, _ = curate("check-license", "example/mit-over-llama", "--cards", EXAMPLES)
    assert out.startswith("DENY   example/mit-over-llama\n")
    assert "lineage" in out
    assert "meta-llama/Llama-2-7b-hf" in out


def test_show_license_lists_and_tells(curate):
    code, out, _ = curate("show-license")
    assert code == 0
    assert len(out.splitlines()) >= 207
    code, out, _ = curate("show-license", "llama3.1")
    assert "Llama 3.1 Community License" in out
    assert "confidence" in out
    assert json.loads(curate("show-license", "mit", "-f", "json")[1])[0]["id"] == "mit"


def test_check_policy_reads_all_that_ship_and_prints_a_schema(curate):
    for path in sorted((ROOT / "policies").glob("*.yaml")):
        assert curate("check-policy", path)[0] == 0, path
    code, out, _ = curate("check-policy", "--schema")
    assert code == 0
    assert json.loads(out)["properties"]["licenses"]


def test_check_policy_prints_a_shipped_policy_that_can_be_copied(curate, tmp_path):
    copy = tmp_path / "mine.yaml"
    assert curate("check-policy", "permissive-only", "--print", "-o", str(copy))[0] == 0
    assert copy.read_text() == (ROOT / "policies" / "permissive-only.yaml").read_text()
    assert "a valid policy, mine" in curate("check-policy", str(copy))[1]


def test_check_policy_finds_a_name_that_means_nothing(curate, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("licenses:\n  by_id: {apache-2.O: allow}\n")
    code, _, err = curate("check-policy", path)
    assert code == 5
    assert "apache-2.O" in err


def test_the_gate_starts_without_the_numeric_stack():
    script = (
        "import sys; from curate.cli.main import run_command; "
        "code = run_command(['check-license', 'google/flan-t5-base', '--offline', '-o', '/dev/null']); "
        "heavy = {'torch', 'numpy', 'pandas', 'huggingface_hub', 'transformers', 'license_expression'} & set(sys.modules); "
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_students_planned_name_license_and_base_decide(curate):
    asked = ("check-license", "meta-llama/Llama-3.1-405B", "--offline", "-p", "conditional")
    code, out, _ = curate(*asked, "--student", "Foo-7B", "--signals", "responses")
    assert (code, "does not begin with 'Llama'" in out) == (3, True)
    free = ("--signals", "responses", "--student-license", "apache-2.0")
    assert curate(*asked, "--student", "Llama-Foo-7B", *free)[0] == 0
    code, out, _ = curate(*asked, "--student", "Llama-Foo-7B", "--student-license", "apache-2.0")
    assert (code, "use limits" in out) == (3, True)


def test_teachers_together_give_one_decision_that_names_duties_which_clash(curate):
    refs = ("meta-llama/Llama-3.1-405B", "naver-hyperclovax/HyperCLOVAX-SEED-Text-Instruct-1.5B")
    code, out, _ = curate("check-license", *refs, "--offline", "-p", "conditional", "--together", "-f", "json")
    decision = json.loads(out)
    assert (code, decision["ref"], decision["verdict"]) == (3, " + ".join(refs), "deny")
    assert decision["findings"][0]["rule"] == "duties-conflict"
    assert curate("check-license", "google/flan-t5-base", "--together", "--ticket", "t.json")[0] == 2


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('accept_conditions: ["*"]', "accept_conditions: [name-prefx]", "accept_conditions: name-prefx"),
        (
            "accepted_terms: []",
            f"accepted_terms: [{{license: lama3, text_sha256: {'ab' * 32}, accepted_by: A, accepted_on: 2026-11-01}}]",
            "accepted_terms: lama3",
        ),
        ("hosts_models: false", "competes_with: [nobody]", "competes_with: nobody"),
    ],
)
def test_check_policy_refuses_conditions_and_terms_that_the_catalogue_does_not_know(curate, tmp_path, old, new, why):
    text = (policies_folder() / "conditional.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    code, _, err = curate("check-policy", str(tmp_path / "mine.yaml"))
    assert (code, why in err) == (5, True), err


def test_the_schema_for_editors_knows_the_organisation_and_accepted_conditions(curate):
    schema = json.loads(curate("check-policy", "--schema")[1])
    assert "organisation" in schema["properties"]
    assert "accept_conditions" in schema["$defs"]["LicensePolicy"]["properties"]
    assert schema["$defs"]["Organisation"]["additionalProperties"] is False
    assert "accepted_terms" in schema["$defs"]["Organisation"]["properties"]
