"""Runs whose teacher is behind a server, or which have several: gates, duties, proof, no answer paid twice."""

import json

import pytest

from curate.cli.main import run_command
from curate.distillation.results import TrainingReport
from curate.errors import ConfigError, Denied, NeedsReview, RunError, TamperedError
from curate.gate import Verdict
from curate.licenses.check import check_license, embedded_folder
from curate.licenses.decision import Case, Decision, Duty
from curate.licenses.sources import make_source
from curate.policy import load_policy
from curate.runs.answer_check import check_answer
from curate.runs.config import RunConfig, read_run_config
from curate.runs.recheck import recheck
from curate.runs.statement import make_statement
from curate.runs.verify import verify_run
from tests.distillation.chat_server import ChatServer
from tests.runs.conftest import EXAMPLES, TODAY
from tests.runs.small_runs import ANSWER, go, make_run


def two_teachers(url):
    return [{"teacher": "embedded", "share": 1}, {"teacher": "org/served", "share": 2, "endpoint": {"base_url": url}}]


@pytest.fixture(scope="module")
def taught(tmp_path_factory, base, cards):
    with ChatServer(model="org/served", answer=lambda prompt: ANSWER) as server:
        config = make_run(base, cards, teachers=two_teachers(server.url), baseline=True)
        folder = go(config, tmp_path_factory.mktemp("reports"))
        return folder, sum(server.served.values()), sum(server.asked.values())


def test_two_teachers_pass_the_gate_answer_their_shares_and_are_told_of_everywhere(taught):
    folder, served, asked = taught
    assert verify_run(folder).finished
    report = TrainingReport.read(folder / "training.json")
    first, second = report.teachers
    assert (first.ref, second.ref) == ("embedded", "org/served")
    assert second.answers == served == asked  # the baseline asked nothing again
    assert abs(2 * first.answers - second.answers) <= 2
    decisions = [Decision.read(folder / f"decision-{place}.json") for place in (1, 2)]
    together = Decision.read(folder / "decision.json")
    assert together.ref == "embedded + org/served"
    assert set(together.obligations) == {duty for one in decisions for duty in one.obligations}
    assert [one.decision_sha256 for one in report.teachers] == [one.digest() for one in decisions]
    card = (folder / "student" / "README.md").read_text()
    assert "`embedded` (33%) and `org/served` (67%)" in card
    assert all(duty.split(":")[0] in card for duty in together.obligations)
    said = make_statement(folder, public_key="")["predicate"]
    assert [one["ref"] for one in said["teachers"]] == ["embedded", "org/served"]
    assert [one["through"] for one in said["teachers"]] == ["transformers", "endpoint"]
    assert "served as org/served" in (folder / "report.html").read_text()


def test_a_run_with_several_teachers_is_rechecked_teacher_by_teacher(taught, cards):
    again = recheck(taught[0], policy=load_policy("default"), source=make_source(cards=[cards], offline=True,
        embedded=embedded_folder()), today=TODAY)  # fmt: skip
    assert [one.name for one in again.decisions][:2] == ["decision-1.json", "decision-2.json"]
    assert again.exit_code == 0


def test_a_teacher_that_is_denied_ends_the_run_of_all(tmp_path, base, cards):
    teachers = [
        {"teacher": name, "endpoint": {"base_url": "http://127.0.0.1:9/v1"}} for name in ("org/served", "org/llama")
    ]
    with pytest.raises(Denied, match="org/llama"):
        go(make_run(base, cards, teachers=teachers), tmp_path)
    (folder,) = tmp_path.iterdir()
    assert Decision.read(folder / "decision-1.json").verdict == Verdict.ALLOW
    assert Decision.read(folder / "decision.json").verdict == Verdict.DENY
    assert not (folder / "teacher-1.json").exists()
    assert verify_run(folder).finished


def test_who_runs_a_server_must_be_known_before_prompts_are_read(tmp_path, base, cards):
    far = {"base_url": "https://llm.example.com/v1"}
    with pytest.raises(NeedsReview, match="nobody knows who runs"):
        go(make_run(base, cards, teacher="org/served", distill={"endpoint": far}), tmp_path)
    (folder,) = tmp_path.iterdir()
    assert not (folder / "filter.json").exists()
    assert verify_run(folder).status == "review"


def test_a_hosted_model_is_denied_whatever_its_endpoint(tmp_path, base, cards):
    far = {"base_url": "https://api.openai.com/v1", "self_hosted": True}
    with pytest.raises(Denied, match="gpt-4o"):
        go(make_run(base, cards, teacher="api:openai/gpt-4o", distill={"endpoint": far}), tmp_path)


def test_a_decision_on_several_that_is_not_theirs_is_found(tmp_path, base, cards):
    with ChatServer(model="org/served", answer=lambda prompt: ANSWER) as server:
        config = make_run(base, cards, teachers=two_teachers(server.url))
        folder = go(config, tmp_path, only_gates=True)
    from curate.runs.verify_decisions import check_decisions

    together = Decision.read(folder / "decision.json")
    together.model_copy(update={"obligations": (), "duties": ()}).write(folder / "decision.json")
    with pytest.raises(TamperedError, match=r"decision\.json: not what the decisions on each teacher come to"):
        check_decisions(folder)


def test_a_run_whose_budget_is_raised_pays_for_no_answer_twice(tmp_path, base, cards):
    with ChatServer(model="org/served", answer=lambda prompt: ANSWER) as server:
        endpoint = {"base_url": server.url, "max_concurrent_requests": 4, "token_budget": 900}
        config = make_run(base, cards, teacher="org/served", distill={"endpoint": endpoint})
        with pytest.raises(RunError, match="tokens are spent"):
            go(config, tmp_path)
        before = sum(server.served.values())
        assert before > 0
        (folder,) = tmp_path.iterdir()
        more = make_run(
            base,
            cards,
            teacher="org/served",
            distill={"endpoint": endpoint | {"token_budget": 0}, "learning_rate": 0.01},
        )
        assert go(more, tmp_path, resume=folder) == folder
    assert sum(server.served.values()) > before
    assert set(server.served.values()) == {1}
    assert verify_run(folder).finished


def test_refused_answers_do_not_teach_and_are_counted(tmp_path, base, cards):
    def answer(prompt):
        return "I'm sorry, but I can't help with that." if len(prompt) % 3 == 0 else ANSWER

    with ChatServer(model="org/served", answer=answer) as server:
        config = make_run(base, cards, teacher="org/served", distill={"endpoint": {"base_url": server.url}})
        folder = go(config, tmp_path / "on")
        off = make_run(
            base, cards, teacher="org/served", distill={"endpoint": {"base_url": server.url}, "answer_checks": False}
        )
        unchecked = go(off, tmp_path / "off")
    (record,) = TrainingReport.read(folder / "training.json").teachers
    assert record.dropped["refused"] > 5
    rows = [json.loads(line) for line in (folder / "signals" / "dropped.jsonl").read_text().splitlines()]
    assert len(rows) == sum(record.dropped.values())
    assert "dropped: " in (folder / "student" / "README.md").read_text()
    assert f"{len(rows)} answers dropped" in (folder / "run.json").read_text()
    assert TrainingReport.read(unchecked / "training.json").teachers[0].dropped == {}


@pytest.mark.parametrize(
    ("text", "finished", "reason"),
    [
        ("card arrival", True, ""),
        ("42", True, ""),
        ("", True, "empty"),
        ("I cannot help with that request.", True, "refused"),
        ("The main reason for this is that the", True, "cut off"),
        ("The main reason for this is that the", False, ""),
        ("I'm sorry, I can't...", False, "refused"),
        ("no no no no no no no no no no no", True, "the same characters over and over"),
    ],
)
def test_an_answer_is_judged_by_the_prompt_wing(text, finished, reason):
    assert check_answer(text, finished) == reason


@pytest.mark.parametrize("changes", [{}, {"teacher": "embedded", "teachers": [{"teacher": "a/b"}]}])
def test_a_run_file_names_one_teacher_or_several(tmp_path, changes):
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps({"prompts": "p.jsonl"} | changes))
    with pytest.raises(ConfigError, match="give teacher, or teachers"):
        read_run_config(path)


@pytest.mark.parametrize("name", ["run-endpoint.yaml", "run-served.yaml", "run-teachers.yaml"])
def test_the_examples_with_servers_are_what_the_trainer_takes(name, vllm, monkeypatch):
    from curate.distillation.admission import preflight

    monkeypatch.setenv("PATH", str(vllm.parent))
    config = read_run_config(EXAMPLES / name)
    preflight(config.distill)
    assert config.distill.answers_alone
    assert read_run_config_again(config) == config


def read_run_config_again(config):
    return RunConfig.model_validate(config.to_file())


def write_ticket(folder, ref, cards, base, *prefixes):
    """A ticket; its student owes the beginnings of a name."""
    folder.mkdir()
    case = Case(signals=("responses",), student_base=str(base))
    source = make_source(cards=[cards], offline=True)
    decision = check_license("org/served", policy=load_policy("default"), source=source, case=case, today=TODAY)
    duties = tuple(
        Duty(license=ref, condition=f"name-prefix:{prefix}", text=f"{ref}: begin with {prefix}", subject=ref)
        for prefix in prefixes
    )
    decision = decision.model_copy(
        update={"ref": ref, "duties": duties, "obligations": tuple(duty.text for duty in duties)}
    )
    decision.write(folder / "decision.json")
    decision.approve().write(folder / "teacher.json")
    return folder / "teacher.json"


def test_the_command_takes_several_tickets_and_holds_their_duties_together(tmp_path, base, cards, taught, capsys):
    tickets = {
        name: write_ticket(tmp_path / name, f"org/{name}", cards, base, *prefixes)
        for name, prefixes in {"served": (), "llama": ("Llama",), "exaone": ("EXAONE",)}.items()
    }
    config = tmp_path / "distill.yaml"

    def call(out, url, *names):
        endpoint = {"base_url": url, "model": "served"}
        shares = [{"teacher": "org/served", "endpoint": endpoint}]
        shares += [{"teacher": f"org/{name}", "endpoint": endpoint} for name in names if name != "served"]
        settings = {
            "student": {"base": str(base)}, "losses": {"kd": 0}, "max_steps": 1, "max_prompt_tokens": 32,
            "max_answer_tokens": 8, "evaluation": {"max_prompts": 8}, "teachers": shares[-len(names) :],
        }  # fmt: skip
        config.write_text(json.dumps(settings))
        given = [part for name in names for part in ("--teacher", str(tickets[name]))]
        dataset = ["--dataset", str(taught[0] / "dataset.json")]
        return run_command(["-q", "distill", str(config), *given, *dataset, "-o", str(tmp_path / out)])

    with ChatServer(model="served", root="org/served", answer=lambda prompt: ANSWER) as server:
        assert call("one", server.url, "served") == 0
        before = sum(server.asked.values())
        assert call("clash", server.url, "llama", "exaone") == 3
        assert "no name begins with both 'Llama' and 'EXAONE'" in capsys.readouterr().err
        assert sum(server.asked.values()) == before
        assert call("other", server.url, "served", "llama") == 3  # the server says that it serves another
    assert "serves org/served as served, but the ticket is for org/llama" in capsys.readouterr().err
    assert TrainingReport.read(tmp_path / "one" / "training.json").teachers[0].served_as == ("served",)
