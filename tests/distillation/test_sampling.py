"""Answers drawn from the teacher: whose distribution they have, and what a draw depends on."""

import json

import pytest
import torch

from curate.distillation.answers import AnswerFile, ask_teacher, describe_decoding, generate_answers
from curate.distillation.config import parse_config
from curate.distillation.sampling import GumbelNoise
from curate.errors import ConfigError

from .classroom import QUESTIONS


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softened_distribution(temperature):
    scores = torch.tensor([2.0, 1.0, 0.0, -1.0])
    noise = GumbelNoise([(number,) for number in range(4000)], temperature, seed=0)
    drawn = noise(torch.empty(0), scores.expand(4000, 4)).argmax(-1)
    shares = torch.bincount(drawn, minlength=4) / 4000
    expected = (scores / temperature).softmax(-1)
    error = (expected * (1 - expected) / 4000).sqrt()
    assert ((shares - expected).abs() < 4 * error + 1e-9).all()


def test_a_token_that_cannot_come_is_never_drawn():
    scores = torch.tensor([0.0, float("-inf"), 0.0]).expand(500, 3)
    drawn = GumbelNoise([(number,) for number in range(500)], 1.0, seed=0)(torch.empty(0), scores).argmax(-1)
    assert set(drawn.tolist()) == {0, 2}


def test_a_draw_depends_on_its_prompt_and_the_seed_and_not_on_its_batch(teacher, encoder):
    prompts = encoder.encode_prompts([prompt for prompt, _ in QUESTIONS[:12]])
    drawn = {"max_new_tokens": 8, "temperature": 2.0}
    together = generate_answers(teacher, encoder, prompts, seed=1, **drawn)
    assert [generate_answers(teacher, encoder, [prompt], seed=1, **drawn)[0] for prompt in prompts] == together
    assert generate_answers(teacher, encoder, prompts[::-1], seed=1, **drawn)[::-1] == together
    assert generate_answers(teacher, encoder, prompts, seed=2, **drawn) != together
    assert generate_answers(teacher, encoder, prompts, max_new_tokens=8) != together


def test_a_torn_draw_is_drawn_again_as_it_was(tmp_path, teacher, encoder):
    ids, prompts = ["a", "b", "c"], [prompt for prompt, _ in QUESTIONS[:3]]
    path = tmp_path / "answers.jsonl"
    answers = ask_teacher(teacher, encoder, ids, prompts, AnswerFile(path, "f"), temperature=2.0, seed=3)
    whole = path.read_text()
    path.write_text(whole[: whole.rindex("{") + 9])
    assert ask_teacher(teacher, encoder, ids, prompts, AnswerFile(path, "f"), temperature=2.0, seed=3) == answers


def test_the_record_says_how_answers_were_drawn():
    told = describe_decoding(parse_config({"answer_temperature": 0.7, "seed": 5}))
    assert (told["decoding"], told["temperature"], told["seed"]) == ("sampled", 0.7, 5)
    assert describe_decoding(parse_config({}))["decoding"] == "greedy"
    json.dumps(told)


def test_a_temperature_below_zero_is_refused():
    with pytest.raises(ConfigError, match="answer_temperature"):
        parse_config({"answer_temperature": -1})
