"""The embedded teacher and the demo's prompts are what their card, record and README say."""

import csv
import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml

EMBEDDED = Path(__file__).parents[2] / "curate" / "embedded"
TEACHER = EMBEDDED / "intent_teacher"
DEMO = EMBEDDED / "demo"
MIB = 2**20
FAULTS = {
    "contamination",
    "exact_duplicate",
    "garbage",
    "injection",
    "near_duplicate",
    "non_english",
    "off_domain",
    "pii",
    "too_long",
    "unlicensed",
}


def read_rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def fold(text):
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


@pytest.fixture(scope="module")
def record():
    return json.loads((TEACHER / "training_record.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def card():
    return (TEACHER / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def loaded():
    torch = pytest.importorskip("torch", reason="needs the extra curate[distill]")
    transformers = pytest.importorskip("transformers", reason="needs the extra curate[distill]")
    model = transformers.AutoModelForCausalLM.from_pretrained(TEACHER, dtype=torch.float32)
    return model.eval(), transformers.AutoTokenizer.from_pretrained(TEACHER)


def answer(loaded, message):
    model, tokenizer = loaded
    turns = [{"role": "user", "content": message}]
    prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    tokens = model.generate(**prompt)
    return tokenizer.decode(tokens[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)


def test_the_folder_fits_in_16_mib():
    assert sum(path.stat().st_size for path in TEACHER.rglob("*") if path.is_file()) <= 16 * MIB


def test_the_card_names_license_and_data(card):
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["license"] == "apache-2.0"
    assert front["language"] == "en"
    assert front["pipeline_tag"] == "text-generation"
    assert "PolyAI/banking77" in front["datasets"]


def test_the_card_says_what_the_record_says(card, record):
    front = yaml.safe_load(card.split("---\n")[1])
    measured = front["model-index"][0]["results"][0]["metrics"][0]["value"]
    assert measured == record["accuracy"]["banking77_test"]
    assert f"{record['parameters']:,} parameters" in card
    assert f"{record['accuracy']['dev']:.4f}" in card


def test_the_record_holds_the_digests_of_the_files(record):
    assert "model.safetensors" in record["files"]
    for name, digest in record["files"].items():
        assert hashlib.sha256((TEACHER / name).read_bytes()).hexdigest() == digest, name


def test_the_parameters_are_as_many_as_the_record_says(loaded, record):
    model, _ = loaded
    assert 5_000_000 <= model.num_parameters() == record["parameters"] <= 8_000_000


def test_a_student_of_two_layers_has_at_most_a_third_of_the_parameters(loaded):
    model, _ = loaded
    layer = sum(weight.numel() for weight in model.model.layers[0].parameters())
    student = model.num_parameters() - layer * (len(model.model.layers) - 2)
    assert len(model.model.layers) >= 6
    assert 3 * student <= model.num_parameters()


@pytest.mark.parametrize(
    ("message", "intent"),
    [
        ("The ATM swallowed my card!", "card swallowed"),
        ("How old do I have to be to open an account?", "age limit"),
        ("I forgot the passcode for the app", "passcode forgotten"),
        ("Is there a maximum I can top up?", "top up limits"),
        ("please close my account", "terminate account"),
    ],
)
def test_the_teacher_names_the_intent(loaded, message, intent):
    assert answer(loaded, message) == intent


def test_prompt_and_answer_tokenised_apart_are_the_whole_conversation(loaded):
    _, tokenizer = loaded
    question, reply = (
        {"role": "user", "content": " Where's my card? "},
        {"role": "assistant", "content": "card arrival"},
    )
    prompt = tokenizer.apply_chat_template([question], add_generation_prompt=True, return_dict=False)
    reply_ids = tokenizer("card arrival", add_special_tokens=False)["input_ids"]
    whole = tokenizer.apply_chat_template([question, reply], return_dict=False)
    assert prompt + reply_ids + [tokenizer.eos_token_id] == whole


def test_the_test_split_is_whole():
    rows = read_rows(EMBEDDED / "banking77_test.jsonl")
    assert len(rows) == 3080
    assert len({row["answer"] for row in rows}) == 77
    assert {row["license"] for row in rows} == {"cc-by-4.0"}


@pytest.mark.parametrize("name", ["prompts", "reference", "benchmark"])
def test_every_row_of_the_demo_has_id_prompt_source_and_license(name):
    rows = read_rows(DEMO / f"{name}.jsonl")
    assert all({"id", "prompt", "source", "license"} <= row.keys() for row in rows)
    assert len({row["id"] for row in rows}) == len(rows)


@pytest.mark.parametrize("name", ["prompts", "reference", "benchmark"])
def test_no_row_of_the_demo_is_a_message_of_the_test_split(name):
    test = {fold(row["prompt"]) for row in read_rows(EMBEDDED / "banking77_test.jsonl")}
    assert not [
        row["id"] for row in read_rows(DEMO / f"{name}.jsonl") if fold(row["prompt"]) and fold(row["prompt"]) in test
    ]


def test_the_reference_is_balanced_and_apart_from_the_prompts():
    prompts = {fold(row["prompt"]) for row in read_rows(DEMO / "prompts.jsonl")}
    reference = read_rows(DEMO / "reference.jsonl")
    answers = [row["answer"] for row in reference]
    assert not [row["id"] for row in reference if fold(row["prompt"]) in prompts]
    assert {answers.count(name) for name in answers} == {4}
    assert len(set(answers)) == 77


def test_the_faults_name_rows_and_cover_every_kind():
    ids = {row["id"] for row in read_rows(DEMO / "prompts.jsonl")}
    with (DEMO / "faults.csv").open(encoding="utf-8") as lines:
        faults = list(csv.DictReader(lines))
    assert {fault["id"] for fault in faults} <= ids
    assert {fault["kind"] for fault in faults} == FAULTS


def test_the_good_prompts_cover_all_intents():
    with (DEMO / "faults.csv").open(encoding="utf-8") as lines:
        faulty = {fault["id"] for fault in csv.DictReader(lines)}
    answers = [row["answer"] for row in read_rows(DEMO / "prompts.jsonl") if row["id"] not in faulty]
    assert len(set(answers)) == 77
    assert min(answers.count(name) for name in set(answers)) >= 20


def test_the_text_of_its_license_is_the_projects_own():
    root = Path(__file__).parents[2] / "LICENSE"
    assert (TEACHER / "LICENSE").read_bytes() == root.read_bytes()
