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
from curate.policy import Waiver, load_policy, policies_folder
from curate.policy.signing import add_waiver
from curate.runs.answer_check import check_answer
from curate.runs.config import RunConfig, read_run_config
from curate.runs.recheck import recheck
from curate.runs.statement import make_statement
from curate.runs.teachers import TOGETHER
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


def write_ticket(folder, ref, cards, base, *prefixes, policy="default", conditions=()):
    """A ticket; its student owes the beginnings of a name, and more."""
    folder.mkdir()
    case = Case(signals=("responses",), student_base=str(base))
    source = make_source(cards=[cards], offline=True)
    decision = check_license("org/served", policy=load_policy(str(policy)), source=source, case=case, today=TODAY)
    owed = (*(f"name-prefix:{prefix}" for prefix in prefixes), *conditions)
    duties = tuple(Duty(license=ref, condition=one, text=f"{ref}: {one}", subject=ref) for one in owed)
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


@pytest.fixture
def clashing(tmp_path, base, cards, taught):
    """Two tickets whose students each want a license of their own; ``distill`` with them, under a policy or none."""

    def call(url, policy, *more, tickets_under=None):
        place = tmp_path / f"tickets{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        made_under = tickets_under or policy or "default"
        tickets = [
            write_ticket(place / name, ref, cards, base, policy=made_under, conditions=("share-alike",))
            for name, ref in {"one": "org/served", "two": "gpl/two"}.items()
        ]
        endpoint = {"base_url": url, "model": "served"}
        settings = {
            "student": {"base": str(base)}, "losses": {"kd": 0}, "max_steps": 1, "max_prompt_tokens": 32,
            "max_answer_tokens": 8, "evaluation": {"max_prompts": 8},
            "teachers": [{"teacher": ref, "endpoint": endpoint} for ref in ("org/served", "gpl/two")],
        }  # fmt: skip
        (place / "distill.yaml").write_text(json.dumps(settings))
        given = [part for ticket in tickets for part in ("--teacher", str(ticket))]
        given += ["--dataset", str(taught[0] / "dataset.json"), "-o", str(tmp_path / "out")]
        given += ["-p", str(policy)] if policy else []
        return run_command(["-q", "distill", str(place / "distill.yaml"), *given, *more])

    return call


@pytest.fixture
def waiving(tmp_path):
    """A policy that waives the clash."""
    waiver = Waiver(
        rule="duties-conflict", subject="org/served + gpl/two", reason="published under both licenses",
        signed_by="Ada Example", signed_on=TODAY, until=TODAY,
    )  # fmt: skip
    path = tmp_path / "ours.yaml"
    path.write_bytes((policies_folder() / "default.yaml").read_bytes())
    add_waiver(path, waiver)
    return path


def test_a_clash_of_tickets_is_a_review_that_says_how_to_waive_it(clashing, tmp_path, capsys):
    assert clashing("http://127.0.0.1:9/v1", None) == 4
    told = capsys.readouterr().err
    assert "duties-conflict" in told
    assert "(subject 'org/served + gpl/two'), make the tickets under it, give -p" in told
    assert not (tmp_path / "out").exists()


def test_a_waiver_of_the_policy_lifts_a_clash_of_tickets_and_is_recorded(clashing, waiving, tmp_path, capsys):
    with ChatServer(model="served", root="org/served", answer=lambda prompt: ANSWER) as server:
        code = clashing(server.url, waiving)
    told = capsys.readouterr().err
    assert code == 3  # past the clash: the server says that it serves another than the second teacher
    assert "the ticket is for gpl/two" in told
    assert "waived: duties-conflict" in told
    recorded = Decision.read(tmp_path / "out" / TOGETHER)
    (clash,) = [one for one in recorded.findings if one.rule == "duties-conflict"]
    assert clash.waived_by.startswith("Ada Example on ")
    assert recorded.verdict is Verdict.ALLOW


def test_tickets_under_another_policy_than_the_one_given_are_refused(clashing, waiving, capsys):
    assert clashing("http://127.0.0.1:9/v1", waiving, tickets_under="default") == 5
    assert "made under another policy than" in capsys.readouterr().err


def test_a_policy_beside_one_ticket_is_a_usage_error(tmp_path, base, cards, taught, capsys):
    ticket = write_ticket(tmp_path / "one", "org/served", cards, base)
    config = tmp_path / "distill.yaml"
    config.write_text("{}")
    given = ["--teacher", str(ticket), "--dataset", str(taught[0] / "dataset.json"), "-o", str(tmp_path / "out")]
    assert run_command(["-q", "distill", str(config), *given, "-p", "default"]) == 2
    assert "--policy is for several --teacher" in capsys.readouterr().err
