"""What the teacher answers: greedy or drawn, batched, and written down as it comes, so that nothing is asked twice."""

from collections.abc import Sequence
from typing import Any

import torch

from curate.distillation.answer_file import Answer, AnswerFile
from curate.distillation.batches import Encoder, group_by_length, pad_left, pad_right
from curate.distillation.config import DistillConfig
from curate.distillation.sampling import GumbelNoise
from curate.distillation.shards import is_sharded
from curate.progress import Progress, silent

MAX_ROWS = 256
"""Prompts answered at once; the cache of keys and values grows with it."""


def generate_answers(
    model: Any,  # noqa: ANN401 – a transformers model
    encoder: Encoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    batch_tokens: int = 8192,
    temperature: float = 0.0,
    seed: int = 0,
) -> list[str]:
    """The continuation of each encoded prompt, in the order given: greedy, or drawn where the temperature is not 0."""
    answers = [""] * len(prompts)
    for rows in _group(prompts, max_new_tokens, batch_tokens):
        found = _answer(model, encoder, [prompts[row] for row in rows], max_new_tokens, temperature, seed)
        for row, answer in zip(rows, found, strict=True):
            answers[row] = answer.text
    return answers


def _group(prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_tokens: int) -> list[list[int]]:
    """Row numbers of batches of similar length."""
    groups = group_by_length([len(prompt) + max_new_tokens for prompt in prompts], batch_tokens)
    return [group[start : start + MAX_ROWS] for group in groups for start in range(0, len(group), MAX_ROWS)]


def _answer(
    model: Any,  # noqa: ANN401
    encoder: Encoder,
    prompts: list[Sequence[int]],
    max_new_tokens: int,
    temperature: float,
    seed: int,
) -> list[Answer]:
    from transformers import GenerationConfig, LogitsProcessorList

    causal = encoder.start is None
    input_ids, mask = pad_left(prompts, encoder.pad) if causal else pad_right(prompts, encoder.pad)
    device = next(model.parameters()).device
    ends = end_tokens(model, encoder)
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=ends,
        pad_token_id=encoder.pad,
        bos_token_id=encoder.tokenizer.bos_token_id,
        decoder_start_token_id=encoder.start,
    )
    noise = [GumbelNoise(prompts, temperature, seed)] if temperature else []
    # What shards gather is used again by the training, which cannot take tensors of inference mode.
    with torch.no_grad(), torch.inference_mode(not is_sharded(model)):
        tokens = model.generate(
            input_ids=input_ids.to(device),
            attention_mask=mask.long().to(device),
            generation_config=settings,
            logits_processor=LogitsProcessorList(noise),
        )
    before = input_ids.shape[1] if causal else 1  # a decoder that has an encoder gives back its start token alone
    said = tokens[:, before:]
    ended = torch.isin(said, torch.tensor(ends, device=said.device)).any(1).tolist()
    texts: list[str] = encoder.tokenizer.batch_decode(said, skip_special_tokens=True)
    return [Answer(text, "stop" if done else "length") for text, done in zip(texts, ended, strict=True)]


def end_tokens(model: Any, encoder: Encoder) -> list[int]:  # noqa: ANN401
    """Every id that ends an answer: the tokenizer's and those of the model's own settings."""
    known = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = known if isinstance(known, list) else [] if known is None else [known]
    return sorted({encoder.end, *more})


def describe_decoding(config: DistillConfig) -> dict[str, Any]:
    """How a teacher in memory answers, for the record."""
    return {
        "through": "transformers",
        "decoding": "sampled" if config.answer_temperature else "greedy",
        "temperature": config.answer_temperature,
        "max_new_tokens": config.max_answer_tokens,
        "max_prompt_tokens": config.max_prompt_tokens,
        "batches": "sorted by length",
        "seed": config.seed,
    }


def ask_teacher(
    model: Any,  # noqa: ANN401
    encoder: Encoder,
    ids: Sequence[str],
    prompts: Sequence[str],
    file: AnswerFile,
    *,
    temperature: float = 0.0,
    seed: int = 0,
    progress: Progress = silent,
) -> dict[str, Answer]:
    """The teacher's answer to every prompt by id, as ``generate_answers``; those in the file are not asked again."""
    todo = [place for place, name in enumerate(ids) if name not in file.found]
    encoded = encoder.encode_prompts([prompts[place] for place in todo])
    done = len(ids) - len(todo)
    for rows in _group(encoded, encoder.max_answer_tokens, 8192):
        own: list[Sequence[int]] = [encoded[row] for row in rows]
        answers = _answer(model, encoder, own, encoder.max_answer_tokens, temperature, seed)
        file.append({ids[todo[row]]: answer for row, answer in zip(rows, answers, strict=True)})
        done += len(rows)
        progress("answers", done, len(ids))
    file.sync()
    return {name: file.found[name] for name in ids}
