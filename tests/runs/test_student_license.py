import pytest

from curate.distillation.config import StudentConfig
from curate.errors import Denied
from curate.gate import Verdict
from curate.licenses.check import check_license
from curate.licenses.decision import Case
from curate.licenses.facts import load_catalogue
from curate.licenses.sources import make_source
from curate.policy import Waiver, load_policy
from curate.runs.student_license import CARRIED, PREFIX, SAME, binding_duties, judge_student
from curate.runs.verify import verify_run
from tests.runs.conftest import TODAY, run_example


@pytest.fixture
def decide(tmp_path):
    def of(front_matter, case=None, dataset=""):
        for kind, name, text in (("models", "a__teacher", front_matter), ("datasets", "a__rows", dataset)):
            folder = tmp_path / "cards" / kind / name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "README.md").write_text(f"---\n{text}\n---\n")
        source = make_source(cards=[tmp_path / "cards"], offline=True)
        return check_license("a/teacher", policy=load_policy("default"), source=source, case=case, today=TODAY)

    return of


def judged(decision, license_id, name="student"):
    student = StudentConfig(name=name, license=license_id, keep_layers=(0, 1))
    return judge_student(student, [decision], policy=load_policy("default"), today=TODAY)


@pytest.mark.parametrize(
    ("teacher", "student", "verdict", "clause"),
    [
        ("apache-2.0", "apache-2.0", "allow", ""),
        ("apache-2.0", "mit", "allow", ""),
        ("apache-2.0", "nobody-knows-this", "allow", ""),
        ("gpl-3.0", "apache-2.0", "deny", "share-alike"),
        ("gpl-3.0", "mit", "deny", "source-disclosure"),
        ("gpl-3.0", "gpl-3.0", "allow", ""),
        ("agpl-3.0", "gpl-3.0", "deny", "network-source-disclosure"),
        ("cc-by-sa-4.0", "cc-by-4.0", "deny", "share-alike"),
        ("cc-by-sa-4.0", "cc-by-sa-4.0", "allow", ""),
        ("creativeml-openrail-m", "apache-2.0", "deny", "pass-through-use-restrictions"),
        ("creativeml-openrail-m", "creativeml-openrail-m", "allow", ""),
        ("creativeml-openrail-m", "bigscience-bloom-rail-1.0", "allow", ""),
        ("creativeml-openrail-m", "nobody-knows-this", "review", "not known to carry"),
        ("creativeml-openrail-m", "", "review", "no license"),
    ],
)
def test_the_license_of_a_student_must_be_one_that_its_duties_allow(decide, teacher, student, verdict, clause):
    decision = judged(decide(f"license: {teacher}"), student)
    assert decision.verdict.value == verdict
    assert any(clause in finding.message for finding in decision.findings)


def test_a_refusal_names_the_license_and_its_section(decide):
    finding = judged(decide("license: gpl-3.0"), "mit").findings[0]
    assert "GNU" in finding.message
    assert finding.evidence[0].section


def test_answers_alone_carry_no_copyleft_where_the_text_leaves_them_free(decide):
    decision = decide("license: gpl-3.0", Case(signals=("responses",)))
    assert judged(decision, "apache-2.0").verdict is Verdict.ALLOW
    rail = decide("license: creativeml-openrail-m", Case(signals=("responses",)))
    assert judged(rail, "apache-2.0").verdict is Verdict.DENY


def test_duties_of_data_behind_the_teacher_do_not_bind_the_license_of_the_student(decide):
    decision = decide("license: apache-2.0\ndatasets: [a/rows]", dataset="license: cc-by-sa-4.0")
    assert any("compatible" in duty for duty in decision.obligations)
    assert judged(decision, "apache-2.0").verdict is Verdict.ALLOW


def test_a_prescribed_name_is_asked_for(decide):
    decision = decide("license: llama3.1")
    assert any(one.rule == "student-name" for one in judged(decision, "llama3.1", "small").findings)
    assert not any(one.rule == "student-name" for one in judged(decision, "llama3.1", "Llama-small").findings)


def test_every_sentence_of_a_duty_leads_back_to_its_license(decide):
    wanted = {*CARRIED, SAME, PREFIX}
    missing = []
    for facts in load_catalogue().licenses.values():
        conditions = {one for one in facts.conditions if one.split(":")[0] in wanted}
        decision = decide(f"license: {facts.hub_tags[0] if facts.hub_tags else facts.id}")
        stands_under = {one.id for node in decision.lineage.nodes for one in load_catalogue().find(node.license)}
        if conditions and stands_under == {facts.id}:
            found = {condition for one, condition in binding_duties(decision, load_catalogue()) if one.id == facts.id}
            missing += [(facts.id, one) for one in conditions - found]
    assert missing == []


def test_a_run_stops_at_a_license_that_the_duties_do_not_allow_before_any_prompt_is_read(tmp_path):
    cards = tmp_path / "cards" / "models" / "a__teacher"
    cards.mkdir(parents=True)
    (cards / "README.md").write_text("---\nlicense: gpl-3.0\n---\n")
    waiver = Waiver(
        rule="license-terms", subject="a/teacher", reason="copyleft is accepted here", signed_by="A. Person",
        signed_on=TODAY, until=TODAY,
    )  # fmt: skip
    policy = load_policy("default").model_copy(update={"waivers": (waiver,)})
    assignments = (f'cards=["{tmp_path / "cards"}"]', "teacher=a/teacher", "student.license=mit")
    with pytest.raises(Denied, match="share-alike"):
        run_example("run-denied.yaml", tmp_path / "reports", *assignments, policy=policy)
    folder = next((tmp_path / "reports").iterdir())
    assert verify_run(folder).status == "denied"
    assert not (folder / "prompts.parquet").exists()
    assert (folder / "report.html").is_file()
