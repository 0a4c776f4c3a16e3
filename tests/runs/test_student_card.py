"""The student's card as the hub reads it: by huggingface_hub's own classes and its validation, against a hub here."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import ModelCard, constants
from huggingface_hub.utils import validate_repo_id

from curate.licenses.facts import load_catalogue
from curate.runs.config import read_run_config
from curate.runs.student_card import NO_LICENSE, _metadata, hub_license, student_card
from tests.report.values import allowed_decision, prompt_decision, training_report
from tests.runs.conftest import EXAMPLES

KNOWN_LICENSES = {tag for facts in load_catalogue().licenses.values() for tag in facts.hub_tags}
RELATIONS = {"adapter", "finetune", "merge", "quantized"}


def problems_of(content):
    """What the hub's documented rules for a model card's metadata find wrong with one, as far as a card can break them.

    https://huggingface.co/docs/hub/model-cards and https://huggingface.co/docs/hub/repositories-licenses
    """
    data = ModelCard(content).data.to_dict()
    wrong = []
    if data.get("license") not in KNOWN_LICENSES:
        wrong.append(f'"license" must be one of the known identifiers, not {data.get("license")}')
    if data.get("license") == "other" and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", str(data.get("license_name", ""))):
        wrong.append('"license_name" must be given in kebab case with "other"')
    for field in ("base_model", "datasets"):
        named = data.get(field, [])
        for name in [named] if isinstance(named, str) else named:
            try:
                validate_repo_id(name)
            except ValueError as error:
                wrong.append(f'"{field}": {error}')
    if data.get("base_model_relation", "finetune") not in RELATIONS:
        wrong.append('"base_model_relation" is none of the known ones')
    if not all(isinstance(tag, str) for tag in data.get("tags", [])):
        wrong.append('"tags" must be strings')
    return wrong


class Validates(BaseHTTPRequestHandler):
    """``/api/validate-yaml`` alone."""

    asked: list = []

    def log_message(self, *parts):
        """Stay quiet."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        wrong = problems_of(body["content"]) if self.path == "/api/validate-yaml" else ["another path"]
        Validates.asked.append(body["repoType"])
        answer = "\n".join(wrong).encode()
        self.send_response(400 if wrong else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def hub(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Validates)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    Validates.asked.clear()
    yield server
    server.shutdown()
    server.server_close()


def config_of(**student):
    config = read_run_config(EXAMPLES / "run.yaml")
    return config.model_copy(update={"student": config.student.model_copy(update=student)})


def card_of(config, decision, sources=()):
    import yaml

    return f"---\n{yaml.safe_dump(_metadata(config, decision, sources))}---\n# a student\n"


def test_the_card_of_a_run_passes_huggingface_hubs_validation(made_once, hub):
    card = ModelCard.load(made_once / "student" / "README.md")
    card.validate()
    assert Validates.asked == ["model"]
    assert (card.data.license, card.data.to_dict()["library_name"]) == ("apache-2.0", "transformers")
    assert card.data.pipeline_tag == "text-generation"


def test_validation_can_fail(hub):
    with pytest.raises(ValueError, match="known identifiers"):
        ModelCard("---\nlicense: Apache 2\n---\n").validate()


def test_teacher_and_base_are_base_models_and_no_merge(hub):
    decision = allowed_decision().model_copy(update={"ref": "google/flan-t5-base"})
    content = card_of(config_of(base="EleutherAI/pythia-70m@abc", license="MIT"), decision)
    card = ModelCard(content)
    card.validate()
    assert card.data.base_model == ["EleutherAI/pythia-70m", "google/flan-t5-base"]
    assert card.data.to_dict()["base_model_relation"] == "finetune"
    assert card.data.license == "mit"


@pytest.mark.parametrize(
    "ref", ["embedded", "api:openai/gpt-4o", "/home/someone/model", "./model", "C:\\models\\one", "~/model"]
)
def test_what_the_hub_cannot_know_is_no_base_model(ref, hub):
    content = card_of(config_of(), allowed_decision().model_copy(update={"ref": ref}))
    ModelCard(content).validate()
    assert "base_model" not in content


@pytest.mark.parametrize("ref", ["/home/someone/one", "./someone/one/", "C:\\someone\\one", "~/someone/one"])
def test_of_a_teachers_folder_the_card_names_the_last_part_alone(ref):
    decision = allowed_decision().model_copy(update={"ref": ref, "revision": ""})
    content = student_card(config_of(), decision, prompt_decision(), training_report(), run_id="r")
    assert "from the local folder `one`, on" in content
    assert "someone" not in content


def test_data_sets_are_those_asked_from_the_hub_and_those_that_rows_name_and_the_catalogue_knows(hub):
    config = config_of().model_copy(update={"prompts": "hf:clinc/clinc_oos:train"})
    rows = ("databricks/databricks-dolly-15k", "curate/demo-prompts", "", "a mail from a friend")
    card = ModelCard(card_of(config, allowed_decision(), rows))
    card.validate()
    assert card.data.datasets == ["clinc/clinc_oos", "databricks/databricks-dolly-15k"]


def test_every_license_of_the_catalogue_gives_metadata_that_the_hub_takes(hub):
    named = {name for facts in load_catalogue().licenses.values() for name in (facts.id, facts.spdx, *facts.hub_tags)}
    for name in sorted(named):
        content = card_of(config_of(license=name), allowed_decision())
        assert problems_of(content) == [], name
        given = ModelCard(content).data.license
        assert given == name or name not in KNOWN_LICENSES or name in NO_LICENSE


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("llama3.1", {"license": "llama3.1"}),
        ("", {"license": "unknown"}),
        ("MIT OR Apache-2.0", {"license": "other", "license_name": "mit-or-apache-2.0"}),
        ("Our <b>own</b> terms", {"license": "other", "license_name": "our-b-own-b-terms"}),
    ],
)
def test_a_license_in_the_hubs_words(name, expected):
    assert hub_license(name) == expected
