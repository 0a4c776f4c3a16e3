import json

import pytest
import yaml

from curate.artifact import write_text
from curate.errors import ConfigError, Denied, MissingExtra, NeedsReview, PolicyError, PromptsError, TamperedError
from curate.gate import ApprovedDataset, ApprovedTeacher
from curate.policy import load_policy
from curate.runs.config import read_run_config
from curate.runs.trail import Trail
from curate.runs.verify import verify_run
from tests.runs.conftest import EXAMPLES, QUICK, run_example


def only_folder(reports):
    (folder,) = reports.iterdir()
    return folder


def test_a_finished_run_leaves_everything_and_verifies(finished):
    assert verify_run(finished).finished
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "run.yaml", "policy.json", "cards", "decision.json", "base_decision.json", "filter.json", "prompts.parquet",
        "diversity.json", "shift.json", "prompt_decision.json", "teacher.json", "dataset.json", "student",
        "training.json", "baseline.json", "report.html", "ledger.jsonl", "run.json",
    }  # fmt: skip
    assert not {"checkpoints", "baseline"} & names


def test_the_student_card_has_metadata_that_parses_and_names_its_proof(finished):
    card = (finished / "student" / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---")[1])
    assert metadata["license"] == "apache-2.0"
    decision = json.loads((finished / "teacher.json").read_text())["decision_sha256"]
    assert decision in card


def test_the_resolved_run_file_reads_back_as_the_same_configuration(finished):
    again = read_run_config(finished / "run.yaml")
    assert again == read_run_config(EXAMPLES / "run.yaml", assignments=QUICK)


@pytest.mark.parametrize(
    "name",
    ["decision.json", "prompts.parquet", "student/model.safetensors", "report.html", "cards/models/embedded/README.md"],
)
def test_one_changed_byte_in_a_finished_run_is_named(finished, name):
    raw = bytearray((finished / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (finished / name).write_bytes(bytes(raw))
    with pytest.raises(TamperedError, match=name.rsplit("/", 1)[-1]):
        verify_run(finished)


def test_a_denied_teacher_ends_the_run_with_a_whole_trail_and_no_student(tmp_path):
    with pytest.raises(Denied, match="license-laundering"):
        run_example("run-denied.yaml", tmp_path)
    folder = only_folder(tmp_path)
    assert verify_run(folder).status == "denied"
    assert not {"student", "prompts.parquet", "teacher.json", "dataset.json"} & {p.name for p in folder.iterdir()}
    assert "license-laundering" in (folder / "report.html").read_text()


def test_a_narrow_prompt_set_ends_the_run_with_a_whole_trail_and_no_student(tmp_path):
    pytest.importorskip("sklearn")
    with pytest.raises(Denied, match="too-narrow"):
        run_example("run-narrow.yaml", tmp_path)
    folder = only_folder(tmp_path)
    assert verify_run(folder).status == "denied"
    assert not {"student", "teacher.json", "dataset.json"} & {path.name for path in folder.iterdir()}


def test_a_teacher_under_review_ends_the_run_with_review(tmp_path):
    with pytest.raises(NeedsReview):
        run_example("run-denied.yaml", tmp_path, "teacher=example/no-license")
    assert verify_run(only_folder(tmp_path)).status == "review"


def test_a_decision_that_was_edited_leaves_no_way_to_its_ticket(finished):
    decision = json.loads((finished / "decision.json").read_text())
    decision["ref"] = "another/model"
    write_text(finished / "decision.json", json.dumps(decision))
    with pytest.raises(TamperedError, match="not the one this ticket was made from"):
        ApprovedTeacher.read_ticket(finished / "teacher.json").open(finished)


def test_a_forged_ticket_whose_decision_is_not_in_the_trail_is_refused(finished):
    decision = json.loads((finished / "decision.json").read_text())
    decision["obligations"] = []
    write_text(finished / "decision.json", json.dumps(decision))
    from curate.artifact import sha256_file

    ticket = ApprovedTeacher.read_ticket(finished / "teacher.json")
    forged = ticket.model_copy(update={"decision_sha256": sha256_file(finished / "decision.json")})
    with pytest.raises(TamperedError, match="not in the trail"):
        forged.open(finished)


def test_prompts_that_were_exchanged_after_approval_are_refused(finished):
    (finished / "prompts.parquet").write_bytes(b"other")
    with pytest.raises(TamperedError, match="not those that were approved"):
        ApprovedDataset.read_ticket(finished / "dataset.json").open(finished)


def test_a_resumed_run_computes_nothing_twice(finished):
    before = (finished / "training.json").read_bytes()
    outcome = run_example("run.yaml", finished.parent, *QUICK, resume=finished)
    status = {step.name: step.status for step in outcome.record.steps}
    assert status["prompts"] == status["analyze"] == status["distill"] == "reused"
    assert (finished / "training.json").read_bytes() == before
    assert verify_run(finished).finished


def test_a_resume_under_another_configuration_does_the_changed_steps_again(finished):
    outcome = run_example("run.yaml", finished.parent, *QUICK, "student.name=other", resume=finished)
    status = [(step.name, step.status) for step in outcome.record.steps]
    assert ("prompts", "reused") in status[-10:]
    assert status[-4] == ("distill", "ok")
    assert verify_run(finished).finished


def test_only_gates_trains_nothing(tmp_path):
    outcome = run_example("run.yaml", tmp_path, *QUICK, only_gates=True)
    folder = only_folder(tmp_path)
    assert outcome.record.status == "gates passed"
    assert (folder / "teacher.json").is_file()
    assert not (folder / "student").exists()
    assert verify_run(folder).finished


def test_a_run_file_says_how_its_budget_is_filled_and_another_way_is_filtered_anew(tmp_path):
    first = run_example("run.yaml", tmp_path, *QUICK, "budget=120", "quota=cluster", only_gates=True)
    folder = only_folder(tmp_path)
    report = json.loads((folder / "filter.json").read_text())
    assert report["filters"][-1]["options"] == {"rows": 120, "method": "coverage", "quota": "cluster"}
    assert report["rows_kept"] == 120
    ways = ("budget=120", "select=importance")
    again = run_example("run.yaml", tmp_path, *QUICK, *ways, only_gates=True, resume=folder)
    report = json.loads((folder / "filter.json").read_text())
    assert report["filters"][-1]["options"] == {"rows": 120, "method": "importance", "quota": ""}
    assert [step.status for step in first.record.steps if step.name == "prompts"] == ["ok"]
    assert [step.status for step in again.record.steps if step.name == "prompts"][-1] == "ok"


def test_importance_in_a_run_file_without_a_reference_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="importance needs a reference"):
        run_example("run.yaml", tmp_path, "budget=10", "select=importance", "reference=")


def test_an_interrupted_run_is_closed_as_such(tmp_path):
    def interrupt(text):
        if text.startswith("prompts: allow"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_example("run.yaml", tmp_path, *QUICK, say=interrupt)
    assert verify_run(only_folder(tmp_path)).status == "interrupted"


@pytest.mark.parametrize(
    ("assignment", "error", "why"),
    [
        ("distill.losses.kd.divergence=nonsense", ConfigError, "nonsense"),
        ("distill.losses.kdd=1", ConfigError, "kdd"),
        ("student.keep_layers=[0, 99]", ConfigError, "99"),
        ("prompts=nothing.jsonl", PromptsError, "nothing.jsonl"),
        ("policy=nothing", ConfigError, "nothing"),
        ("embedder=minilm", ConfigError, "minilm"),
        ("filters.nonsense={}", PolicyError, "nonsense"),
        ("filters.off_domain.quantile=0.999", PolicyError, "looser"),
        ("teacher=", ConfigError, "teacher"),
        ("distill.student={}", ConfigError, "top level"),
        ("quota=cluster", ConfigError, "need a budget"),
        ("select=importance", ConfigError, "need a budget"),
        ("select=luck", ConfigError, "select"),
    ],
)
def test_what_is_wrong_in_a_run_file_is_said_before_anything_slow(tmp_path, assignment, error, why):
    with pytest.raises(error, match=why):
        run_example("run.yaml", tmp_path, assignment)
    for folder in tmp_path.iterdir():
        assert verify_run(folder).status == "failed"
        assert not (folder / "prompts.parquet").exists()


def test_a_waiver_lifts_a_review_and_stands_in_the_decision_the_card_and_the_report(tmp_path):
    from datetime import date

    from curate.policy import Waiver
    from tests.runs.conftest import TODAY

    policy = load_policy("default")
    waiver = Waiver(
        rule="*", subject="*", reason="a test that looks at the record", signed_by="A. Person",
        signed_on=TODAY, until=date(2027, 1, 1),
    )  # fmt: skip
    waived = policy.model_copy(update={"waivers": (waiver.model_copy(update={"rule": "missing-license"}),)})
    try:
        run_example("run-denied.yaml", tmp_path, "teacher=example/no-license", policy=waived, only_gates=True)
    except (Denied, NeedsReview) as refusal:
        pytest.fail(f"not waived: {refusal}")
    decision = json.loads((only_folder(tmp_path) / "decision.json").read_text())
    assert decision["verdict"] == "allow"
    assert any("A. Person" in finding["waived_by"] for finding in decision["findings"])


def test_two_runs_at_once_do_not_share_a_folder(tmp_path):
    first, second = Trail.start(tmp_path, "same"), Trail.start(tmp_path, "same")
    assert first.root != second.root


def test_a_run_in_several_processes_is_refused_before_there_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="a run is written by one process"):
        run_example("run.yaml", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_without_its_packages_says_so_before_there_is_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("curate.runs.pipeline.find_spec", lambda name: None if name == "torch" else name)
    with pytest.raises(MissingExtra, match="torch is not installed") as missing:
        run_example("run.yaml", tmp_path)
    assert missing.value.exit_code == 6
    assert not list(tmp_path.iterdir())
