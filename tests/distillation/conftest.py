"""The tiny teacher for every test of this wing."""

import pytest
from transformers import AutoModelForCausalLM

from curate.distillation.batches import Encoder

from .classroom import classroom, teacher_folder, tokenizer

__all__ = ["classroom", "teacher_folder", "tokenizer"]


@pytest.fixture
def encoder(tokenizer):
    return Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)


@pytest.fixture
def teacher(teacher_folder):
    return AutoModelForCausalLM.from_pretrained(teacher_folder)
