"""Teachers whose answers alone teach: behind a server, or several with shares; and answers that must not teach."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.artifact import sha256_folder
from curate.distillation.answer_file import Answer
from curate.distillation.batches import Encoder
from curate.distillation.config import parse_config
from curate.distillation.distill import distill
from curate.distillation.faculty import appoint, deal
from curate.distillation.questions import shorten
from curate.distillation.trainer import Trainer
from curate.errors import ConfigError, Denied, NeedsReview, PromptsError, RunError
from curate.licenses.decision import Case, Decision, LineageNode

from .chat_server import ChatServer
from .classroom import QUESTIONS, approve, make_model, make_rows, make_tokenizer

TRUTH = dict(QUESTIONS)


@pytest.fixture(scope="session")
def student_folder(tmp_path_factory):
    """A student of another family: its own tokenizer, untrained."""
    folder = tmp_path_factory.mktemp("student")
    tokenizer = make_tokenizer([text for pair in QUESTIONS for text in pair], size=290)
    make_model(len(tokenizer), layers=2, seed=3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_config(base, **changes):
    payload = {
        "student": {"base": str(base)},
        "losses": {"task": 1.0, "kd": 0},
        "epochs": 8,
        "batch_tokens": 320,
        "max_answer_tokens": 8,
        "learning_rate": 5e-3,
        "precision": "fp32",
        "evaluation": {"fraction": 0.15},
    }
    return parse_config(payload | changes)


def classroom_for(root, teacher, student, **changes):
    case = Case(**{"signals": ("responses",), "student_base": str(student)} | changes)
    return approve(root, teacher, make_rows(), case=case)


def further_ticket(root, ref, case, **node):
    """One more approved teacher, without weights of its own."""
    root.mkdir()
    first = Decision.read(root.parent / "decision.json")
    changed = {"ref": ref, "case": case}
    if node:
        changed["lineage"] = first.lineage.model_copy(update={"nodes": (LineageNode(ref=ref, **node),)})
    decision = first.model_copy(update=changed)
    decision.write(root / "decision.json")
    return decision.approve()


def teach(classroom, config, **options):
    options = {"root": classroom.root, "out": classroom.root / "out"} | options
    return distill(classroom.teacher_ticket, classroom.dataset_ticket, config, **options)


def test_a_student_learns_from_a_teacher_behind_a_server(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    with ChatServer(answer=TRUTH.get, mishaps={QUESTIONS[0][0]: ["half", "throttle"]}) as server:
        config = make_config(student_folder, endpoint={"base_url": server.url, "temperature": 0.2})
        report = teach(classroom, config)
    assert report.after.perplexity < 0.5 * report.before.perplexity
    assert report.after.kl_to_teacher is None
    assert sorted(report.footprints) == ["student"]
    (record,) = report.teachers
    assert record.answers == 48 == sum(server.served.values())
    assert record.served_as == ("tiny/teacher",)
    assert record.decoding == {
        "through": "endpoint", "model": "tiny/teacher", "max_tokens": 8, "temperature": 0.2, "top_p": 1.0, "seed": 0,
        "max_prompt_tokens": 512,
    }  # fmt: skip
    assert record.prompt_tokens == sum(len(prompt.split()) for prompt, _ in QUESTIONS)
    assert record.lost_tokens > 0
    assert teach(classroom, config, resume=True) == report


def test_a_training_goes_on_without_the_server_whose_answers_are_there(
    tmp_path, teacher_folder, student_folder, monkeypatch
):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    with ChatServer(answer=TRUTH.get) as server:
        config = make_config(student_folder, endpoint={"base_url": server.url}, epochs=1)
        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "run", interrupt)
            with pytest.raises(KeyboardInterrupt):
                teach(classroom, config)
    assert teach(classroom, config, resume=True).teachers[0].answers == 48
    assert set(server.served.values()) == {1}


def interrupt(_trainer):
    raise KeyboardInterrupt


def test_a_budget_that_is_raised_goes_on_with_the_answers_that_are_there(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    with ChatServer(answer=TRUTH.get) as server:
        endpoint = {"base_url": server.url, "max_concurrent_requests": 2, "token_budget": 200}
        with pytest.raises(RunError, match="tokens are spent"):
            teach(classroom, make_config(student_folder, endpoint=endpoint, epochs=1))
        assert 0 < sum(server.served.values()) < 48
        endpoint |= {"token_budget": 0, "max_concurrent_requests": 9}
        report = teach(classroom, make_config(student_folder, endpoint=endpoint, epochs=1), resume=True)
    assert set(server.served.values()) == {1}
    assert report.teachers[0].answers == 48


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"losses": {"kd": 1.0}}, "an endpoint gives answers alone, no logits"),
        ({"losses": {"kd": 0, "feature": 1.0}}, "no hidden-states"),
        ({"losses": {"kd": 0, "attention": 1.0}}, "no attentions"),
        ({"signals": "cached"}, "answers alone, not what a cache keeps"),
        ({"student": {"keep_layers": [0]}}, "student.keep_layers: no teacher is in memory"),
        ({"teachers": [{"teacher": "tiny/teacher"}]}, "endpoint: stands beside teachers"),
        ({"answer_temperature": 1.0}, "answer_temperature: for a teacher in memory"),
    ],
)
def test_what_an_endpoint_cannot_give_is_refused(tmp_path, teacher_folder, student_folder, changes, said):
    base = "" if "student" in changes else str(student_folder)
    classroom = approve(tmp_path, teacher_folder, make_rows(), case=Case(student_base=base))
    config = make_config(student_folder, **{"endpoint": {"base_url": "http://127.0.0.1:9/v1"}} | changes)
    with pytest.raises(ConfigError, match=said):
        teach(classroom, config)


def test_a_ticket_that_was_not_given_for_answers_opens_no_endpoint(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder, signals=("logits",))
    config = make_config(student_folder, endpoint={"base_url": "http://127.0.0.1:9/v1"})
    with pytest.raises(Denied, match="not for responses"):
        teach(classroom, config)


def test_a_ticket_for_weights_is_none_for_a_strangers_server(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    tickets = [(classroom.teacher_ticket, classroom.root)]
    far = {"base_url": "https://llm.example.com/v1"}
    with pytest.raises(NeedsReview, match=r"nobody knows who runs llm\.example\.com") as caught:
        appoint(tickets, make_config(student_folder, endpoint=far))
    assert caught.value.exit_code == 4
    assert appoint(tickets, make_config(student_folder, endpoint=far | {"self_hosted": True}))


def test_a_hosted_model_needs_an_endpoint_and_may_be_anywhere(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    case = Case(signals=("responses",), student_base=str(student_folder))
    ticket = further_ticket(classroom.root / "more", "mistral-small", case, kind="api")
    tickets = [(ticket, classroom.root / "more")]
    with pytest.raises(ConfigError, match="no weights to read"):
        appoint(tickets, make_config(student_folder))
    assert appoint(tickets, make_config(student_folder, endpoint={"base_url": "https://api.example.com/v1"}))


def test_several_teachers_answer_their_shares(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    case = Case(signals=("responses",), student_base=str(student_folder))
    more = further_ticket(classroom.root / "more", "org/served", case)
    with ChatServer(model="served", answer=TRUTH.get) as server:
        shares = [
            {"teacher": "tiny/teacher", "share": 3},
            {"teacher": "org/served", "share": 1, "endpoint": {"base_url": server.url, "model": "served"}},
        ]
        config = make_config(student_folder, teachers=shares)
        report = teach(classroom, config, more_teachers=[(more, classroom.root / "more")])
        assert sum(server.asked.values()) == 12
        again = teach(classroom, config, more_teachers=[(more, classroom.root / "more")], resume=True)
    assert again == report
    assert [(one.ref, one.share, one.answers) for one in report.teachers] == [
        ("tiny/teacher", 0.75, 36), ("org/served", 0.25, 12)
    ]  # fmt: skip
    assert report.teacher_ref == "tiny/teacher + org/served"
    assert [one.decoding["through"] for one in report.teachers] == ["transformers", "endpoint"]
    assert report.teachers[1].decision_sha256 == more.decision_sha256
    signals = classroom.root / "out" / "signals"
    told = [
        {json.loads(line)["id"] for line in (signals / f"answers-{place}.jsonl").read_text().splitlines()[1:]}
        for place in (1, 2)
    ]
    assert not told[0] & told[1]
    assert len(told[0] | told[1]) == 48
    assert report.after.perplexity < report.before.perplexity


def test_tickets_and_config_must_name_the_same_teachers(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    case = Case(signals=("responses",), student_base=str(student_folder))
    more = [(further_ticket(classroom.root / "more", "org/served", case), classroom.root / "more")]
    with pytest.raises(ConfigError, match="config names no teachers"):
        teach(classroom, make_config(student_folder), more_teachers=more)
    one = make_config(student_folder, teachers=[{"teacher": "tiny/teacher"}, {"teacher": "org/other"}])
    with pytest.raises(ConfigError, match=r"look at org/other"):
        teach(classroom, one, more_teachers=more)
    twice = make_config(student_folder, teachers=[{"teacher": "tiny/teacher"}, {"teacher": "tiny/teacher"}])
    with pytest.raises(ConfigError, match="one is named twice"):
        teach(classroom, twice)


@given(st.integers(0, 200), st.lists(st.floats(0.01, 100), min_size=1, max_size=5), st.integers(0, 9), st.randoms())
def test_shares_are_met_to_the_prompt_whatever_the_files_order(count, shares, seed, chance):
    ids = [f"p{number}" for number in range(count)]
    dealt = dict(zip(ids, deal(ids, shares, seed), strict=True))
    counts = Counter(dealt.values())
    for place, share in enumerate(shares):
        assert abs(counts[place] - count * share / sum(shares)) < 1
    chance.shuffle(ids)
    assert dict(zip(ids, deal(ids, shares, seed), strict=True)) == dealt


def test_an_answer_that_fails_the_check_does_not_teach(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    texts = {prompt: "I'm sorry, I cannot help with that." if number < 5 else answer
             for number, (prompt, answer) in enumerate(QUESTIONS)}  # fmt: skip
    mishaps = {QUESTIONS[5][0]: ["filtered"], QUESTIONS[6][0]: ["refuse"]}
    with ChatServer(answer=texts.get, mishaps=mishaps) as server:
        config = make_config(student_folder, endpoint={"base_url": server.url}, epochs=1)
        report = teach(classroom, config, check=lambda text, finished: "refused" if "sorry" in text else "")
    (record,) = report.teachers
    assert record.dropped == {"refused": 5, "refused by the server": 1, "stopped by the server's content filter": 1}
    assert report.prompts_trained + report.prompts_held_out == 48 - 7
    rows = [
        json.loads(line) for line in (classroom.root / "out" / "signals" / "dropped.jsonl").read_text().splitlines()
    ]
    assert {row["id"] for row in rows} == {f"q{n}" for n in range(7)}
    assert {row["filter"] for row in rows} == {"answer"}
    assert next(row for row in rows if row["id"] == "q6")["detail"].startswith("HTTP 400")


def test_answers_of_which_none_is_fit_to_teach_end_the_run(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    with pytest.raises(PromptsError, match="none of the 48 answers is fit to teach; the first: bad"):
        teach(classroom, make_config(student_folder), check=lambda text, finished: "bad")


def test_an_answer_that_was_cut_teaches_without_an_end(tmp_path, tokenizer):
    from curate.distillation.lesson import _encode
    from curate.distillation.rows import Row

    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    rows = [Row("a", "capital of peru"), Row("b", "capital of peru")]
    whole, cut = _encode(encoder, rows, {"a": Answer("lima", "stop"), "b": Answer("lima", "length")})
    assert whole.answer == (*cut.answer, encoder.end)


@pytest.mark.parametrize(("temperature", "called"), [(0.0, "greedy"), (1.5, "sampled")])
def test_the_local_teachers_decoding_is_written_down(classroom, temperature, called):
    config = make_config("", student={"keep_layers": [0, 2]}, epochs=1, answer_temperature=temperature)
    report = teach(classroom, config)
    (record,) = report.teachers
    assert record.decoding["through"] == "transformers"
    assert (record.decoding["decoding"], record.decoding["temperature"]) == (called, temperature)
    head = json.loads((classroom.root / "out" / "signals" / "answers.jsonl").read_text().splitlines()[0])
    assert head["decoding"] == record.decoding
    rows = (classroom.root / "out" / "signals" / "answers.jsonl").read_text().splitlines()[1:]
    assert {json.loads(row)["finish"] for row in rows} <= {"stop", "length"}


def test_a_long_prompt_goes_to_a_server_as_far_as_the_student_reads_it(tokenizer):
    encoder = Encoder(tokenizer, max_prompt_tokens=12, max_answer_tokens=8)
    long = " ".join(prompt for prompt, _ in QUESTIONS)
    short, cut = shorten(encoder, ["hi", long])
    assert short == "hi"
    assert long.startswith(cut.strip())
    assert 8 <= len(encoder.encode_prompts([cut])[0]) <= 12


def test_teachers_with_content_are_told_apart_in_what_answers_belong_to(tmp_path, teacher_folder, student_folder):
    classroom = classroom_for(tmp_path, teacher_folder, student_folder)
    assert classroom.teacher_ticket.content_sha256 == sha256_folder(teacher_folder)
    near = {"base_url": "http://127.0.0.1:1/v1"}

    def fingerprint(**endpoint):
        config = make_config(student_folder, endpoint=near | endpoint)
        return appoint([(classroom.teacher_ticket, classroom.root)], config)[0].asked_sha256(config, "x")

    assert fingerprint() == fingerprint(base_url="http://127.0.0.1:2/v1", token_budget=5, max_retries=1)
    assert len({fingerprint(), fingerprint(temperature=1), fingerprint(max_tokens=9), fingerprint(model="m")}) == 4
    started = [{"base_url": "", "serve": {"arguments": words}} for words in ([], ["--enforce-eager"], ["--dtype=half"])]
    assert [fingerprint(**one) == fingerprint() for one in started] == [True, True, False]


def test_drawn_answers_are_not_taken_for_greedy_ones_nor_for_those_of_another_temperature(classroom):
    def fingerprint(temperature):
        config = make_config("", student={"keep_layers": [0, 2]}, answer_temperature=temperature)
        return appoint([(classroom.teacher_ticket, classroom.root)], config)[0].asked_sha256(config, "x")

    assert len({fingerprint(0.0), fingerprint(1.0), fingerprint(0.5)}) == 3
