"""What the teacher answers: greedy, batched, and written down as it comes, so that nothing is asked twice."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from curate.artifact import write_failure, write_text
from curate.distillation.batches import Encoder, group_by_length, pad_left, pad_right
from curate.errors import ConfigError
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
) -> list[str]:
    """The greedy continuation of each encoded prompt, in the order given."""
    answers = [""] * len(prompts)
    for rows in _group(prompts, max_new_tokens, batch_tokens):
        for row, text in zip(
            rows, _answer(model, encoder, [prompts[row] for row in rows], max_new_tokens), strict=True
        ):
            answers[row] = text
    return answers


def _group(prompts: Sequence[Sequence[int]], max_new_tokens: int, batch_tokens: int) -> list[list[int]]:
    """Row numbers of batches of similar length."""
    groups = group_by_length([len(prompt) + max_new_tokens for prompt in prompts], batch_tokens)
    return [group[start : start + MAX_ROWS] for group in groups for start in range(0, len(group), MAX_ROWS)]


@torch.inference_mode()
def _answer(model: Any, encoder: Encoder, prompts: list[Sequence[int]], max_new_tokens: int) -> list[str]:  # noqa: ANN401
    from transformers import GenerationConfig

    causal = encoder.start is None
    input_ids, mask = pad_left(prompts, encoder.pad) if causal else pad_right(prompts, encoder.pad)
    device = next(model.parameters()).device
    settings = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=end_tokens(model, encoder),
        pad_token_id=encoder.pad,
        bos_token_id=encoder.tokenizer.bos_token_id,
        decoder_start_token_id=encoder.start,
    )
    tokens = model.generate(
        input_ids=input_ids.to(device), attention_mask=mask.long().to(device), generation_config=settings
    )
    before = input_ids.shape[1] if causal else 1  # a decoder that has an encoder gives back its start token alone
    texts: list[str] = encoder.tokenizer.batch_decode(tokens[:, before:], skip_special_tokens=True)
    return texts


def end_tokens(model: Any, encoder: Encoder) -> list[int]:  # noqa: ANN401
    """Every id that ends an answer: the tokenizer's and those of the model's own settings."""
    known = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    more = known if isinstance(known, list) else [] if known is None else [known]
    return sorted({encoder.end, *more})


class AnswerFile:
    """Answers as JSON lines under a first line that says what they belong to; a torn last line is asked again."""

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.found: dict[str, str] = {}
        if path.exists():
            self._read()
        else:
            write_text(path, json.dumps({"kind": "curate/answers@1", "fingerprint": fingerprint}) + "\n")

    def _read(self) -> None:
        lines = self.path.read_text(encoding="utf-8").split("\n")
        try:
            header = json.loads(lines[0])
        except json.JSONDecodeError:
            header = {}
        if header.get("fingerprint") != self.fingerprint:
            raise ConfigError(
                f"{self.path}: these answers belong to another teacher, prompt set or setting",
                hint="choose another output folder",
            )
        whole = lines[:-1]
        for line in whole[1:]:
            row = json.loads(line)
            self.found[row["id"]] = row["answer"]
        if lines[-1]:
            write_text(self.path, "\n".join(whole) + "\n")

    def append(self, ids: Sequence[str], answers: Sequence[str]) -> None:
        """Add answers and make sure they are on disk."""
        lines = [
            json.dumps({"id": name, "answer": text}, ensure_ascii=False)
            for name, text in zip(ids, answers, strict=True)
        ]
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write("".join(f"{line}\n" for line in lines))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise write_failure(self.path, error) from error
        self.found.update(zip(ids, answers, strict=True))


def ask_teacher(
    model: Any,  # noqa: ANN401
    encoder: Encoder,
    ids: Sequence[str],
    prompts: Sequence[str],
    file: AnswerFile,
    *,
    progress: Progress = silent,
) -> dict[str, str]:
    """The teacher's answer to every prompt by id; those in the file are not asked again."""
    todo = [place for place, name in enumerate(ids) if name not in file.found]
    encoded = encoder.encode_prompts([prompts[place] for place in todo])
    done = len(ids) - len(todo)
    for rows in _group(encoded, encoder.max_answer_tokens, 8192):
        texts = _answer(model, encoder, [encoded[row] for row in rows], encoder.max_answer_tokens)
        file.append([ids[todo[row]] for row in rows], texts)
        done += len(rows)
        progress("answers", done, len(ids))
    return {name: file.found[name] for name in ids}
