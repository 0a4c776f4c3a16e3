"""The tiny teacher for every test of this wing."""

import pytest
from transformers import AutoModelForCausalLM

from curate.distillation.batches import Encoder

from .classroom import classroom, teacher_folder, tokenizer
from .stand_in import plan, vllm

__all__ = ["classroom", "plan", "teacher_folder", "tokenizer", "vllm"]


@pytest.fixture
def encoder(tokenizer):
    return Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)


@pytest.fixture
def teacher(teacher_folder):
    return AutoModelForCausalLM.from_pretrained(teacher_folder)
