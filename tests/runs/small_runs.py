"""Small runs of the examples' prompts, by teachers that have cards here and a student that starts from a base."""

from datetime import date
from pathlib import Path

import pytest

from curate.runs.config import RunConfig
from curate.runs.pipeline import run_pipeline

EXAMPLES = Path(__file__).parents[2] / "examples"
TODAY = date(2026, 11, 26)
ANSWER = "ask the bank"


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A student to start from, with a card."""
    from tests.distillation.classroom import make_model, make_tokenizer

    folder = tmp_path_factory.mktemp("base")
    tokenizer = make_tokenizer([(EXAMPLES / "reference.jsonl").read_text()], size=400)
    make_model(len(tokenizer), layers=1, seed=3).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A student trained from scratch\n")
    return folder


@pytest.fixture(scope="session")
def cards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    for name, license_id in {
        "org__served": "apache-2.0",
        "org__other": "mit",
        "org__llama": "llama3",
        "org__gemma": "gemma",
    }.items():
        place = folder / "models" / name
        place.mkdir(parents=True)
        (place / "README.md").write_text(f"---\nlicense: {license_id}\n---\n# {name}\n")
    return folder


def make_run(base, cards, **changes):
    distill = {"losses": {"kd": 0}, "max_steps": 2, "max_answer_tokens": 8, "max_prompt_tokens": 32, "seed": 1}
    payload = {
        "policy": "default",
        "prompts": "prompts.jsonl",
        "reference": "reference.jsonl",
        "cards": [str(cards)],
        "offline": True,
        "evaluation": {"max_prompts": 8},
        "student": {"name": "small", "license": "apache-2.0", "base": str(base)},
        "distill": distill | changes.pop("distill", {}),
    }
    return RunConfig.model_validate(payload | changes)


def go(config, reports, **options):
    return Path(run_pipeline(config, where=EXAMPLES, reports=reports, today=TODAY, **options).folder)
