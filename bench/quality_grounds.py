"""What the quality ladder is climbed on: a teacher, what is learned from it, and what is examined."""

import dataclasses
import json
import random
import sysconfig
from pathlib import Path

import torch
from corpora import read_set

from curate.distillation.answers import generate_answers
from curate.distillation.batches import Encoder, Example
from curate.distillation.evaluate import HeldOut
from curate.distillation.loading import load_model
from curate.distillation.smollm2 import fetch_smollm2
from curate.distillation.teacher import embedded_folder

LAYERS = (0, 6, 12, 18, 24, 29)
"""Six of SmolLM2's thirty."""
ANSWER_TOKENS = 192
POOL = 340, 24
"""GSM8K questions to learn from and to examine; as many others are there for choosing settings."""
ANSWERED = {
    "teacher": (1.0, 210, 180, "its own answers drawn at temperature 1, seed 0"),
    "teacher-greedy": (0.0, 340, 180, "its own greedy answers"),
}
"""How SmolLM2 answers, by source: temperature, how many of the questions it is asked, how many others, and in words."""
SOURCES = "embedded", "python", "gold", *ANSWERED


@dataclasses.dataclass
class Ground:
    """A teacher, what is learned from it and what is examined."""

    teacher: object
    encoder: Encoder
    examples: tuple
    held_out: HeldOut
    layers: tuple
    settings: dict
    note: str
    kd: float = 1
    """Weight of KD beside the task's, in every rung that has it."""


def prepare(source, options):
    """The ground of that name."""
    if source == "embedded":
        return prepare_embedded()
    return prepare_python(options) if source == "python" else prepare_gsm8k(source, options)


def prepare_embedded():
    """The teacher that ships with curate, its own greedy answers to the demo's prompts, two of its layers kept."""
    teacher, tokenizer = load_model(str(embedded_folder()))
    encoder = Encoder(tokenizer, max_prompt_tokens=64, max_answer_tokens=16, context=0)
    path = embedded_folder().parent / "demo" / "prompts.jsonl"
    prompts = sorted({json.loads(line)["prompt"] for line in path.read_text().splitlines()})
    random.Random(0).shuffle(prompts)
    answers = generate_answers(teacher, encoder, encoder.encode_prompts(prompts), max_new_tokens=16)
    examples = encoder.encode([str(number) for number in range(len(prompts))], prompts, answers)
    held = max(1, len(examples) // 5)
    return Ground(
        teacher, encoder, tuple(examples[held:]), make_held_out(examples[:held]), (0, 3),
        {"batch_tokens": 1024, "learning_rate": 1e-3, "epochs": 1000, "max_steps": 60},
        "embedded teacher, its own greedy answers, 2 of its layers kept",
    )  # fmt: skip


def prepare_python(options):
    """Sources of Python's standard library in blocks of 128 tokens; every token is learned."""
    teacher, tokenizer = load_model(str(fetch_smollm2(offline=True)))
    files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
    random.Random(0).shuffle(files)
    blocks = -(-options.tokens // 127)
    skip = blocks + 32 if options.tune else 0
    needed = (skip + blocks + 16) * 128
    ids = []
    for path in files:
        ids += tokenizer(path.read_text(errors="replace"), add_special_tokens=False)["input_ids"]
        if len(ids) >= needed:
            break
    rows = [ids[start : start + 128] for start in range(skip * 128, needed, 128)]
    examples = [Example(str(place), tuple(row[:1]), tuple(row[1:])) for place, row in enumerate(rows)]
    encoder = Encoder(tokenizer, max_prompt_tokens=64, max_answer_tokens=128)
    examples = prune(teacher, encoder, examples)
    return Ground(
        teacher, encoder, tuple(examples[16:]), make_held_out(examples[:16]), LAYERS, {"batch_tokens": 512},
        "SmolLM2-135M-Instruct, 6 of 30 layers kept, sources of Python's standard library in blocks of 128 tokens",
    )  # fmt: skip


def prepare_gsm8k(source, options):
    """Questions of GSM8K in the teacher's chat template and its own answers; or as text with the true ones."""
    learn, held = POOL
    questions = read_set("gsm8k")
    train = [row for row in questions if row["split"] == "train"]
    exam = [row for row in questions if row["split"] == "test"]
    random.Random(0).shuffle(train)
    random.Random(0).shuffle(exam)
    taught, held_out = train[:learn], exam[held : 2 * held]  # those before were seen when the weight of KD was chosen
    if options.tune:
        taught, held_out = train[learn : 2 * learn], train[2 * learn : 2 * learn + held]
    if source in ANSWERED:
        taught = taught[: ANSWERED[source][2 if options.tune else 1]]
    rows = [*taught, *held_out]
    teacher, tokenizer = load_model(str(fetch_smollm2(offline=True)))
    encoder = Encoder(tokenizer, max_prompt_tokens=256, max_answer_tokens=ANSWER_TOKENS)
    prompts = [row["prompt"].strip() for row in rows]
    answers = [row["response"] for row in rows]
    if source in ANSWERED:
        answers = ask(teacher, encoder, prompts, options.work / f"answers-{source}.jsonl", ANSWERED[source][0])
        teacher = load_model(str(fetch_smollm2(offline=True)))[0]
    examples = encoder.encode([row["id"] for row in rows], prompts, answers)
    if source == "gold":  # every token is learned, the question's too: text, not talk
        plain = tokenizer([f"{q}\n{a}" for q, a in zip(prompts, answers, strict=True)], add_special_tokens=False)
        examples = [
            Example(row["id"], (encoder.end,), (*ids, encoder.end))
            for row, ids in zip(rows, plain["input_ids"], strict=True)
        ]
    examples = prune(teacher, encoder, examples)
    what = ANSWERED[source][-1] if source in ANSWERED else "questions and true answers as text"
    return Ground(
        teacher, encoder, tuple(take(examples[:-held], options.tokens)), make_held_out(examples[-held:]), LAYERS,
        {"batch_tokens": 512},
        f"SmolLM2-135M-Instruct, 6 of 30 layers kept, GSM8K, {what}",
        kd=4,
    )  # fmt: skip


def take(examples, tokens):
    """As many examples as hold so many tokens to learn."""
    total, taken = 0, []
    for example in examples:
        if total >= tokens:
            break
        taken.append(example)
        total += len(example.answer)
    return taken


def ask(teacher, encoder, prompts, path, temperature):
    """The teacher's answers, in bf16; those in the file are not asked for again."""
    known = {}
    if path.exists():
        known = {row["prompt"]: row["answer"] for row in map(json.loads, path.read_text().splitlines())}
    todo = sorted((prompt for prompt in prompts if prompt not in known), key=len)
    if todo:
        teacher.bfloat16()
    for start in range(0, len(todo), 64):
        part = todo[start : start + 64]
        answers = generate_answers(teacher, encoder, encoder.encode_prompts(part), max_new_tokens=ANSWER_TOKENS,
                                   batch_tokens=1 << 20, temperature=temperature)  # fmt: skip
        known |= dict(zip(part, answers, strict=True))
        with path.open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps({"prompt": one, "answer": known[one]}) + "\n" for one in part)
    return [known[prompt] for prompt in prompts]


def make_held_out(examples):
    """Examined by likelihood alone."""
    return HeldOut(tuple(examples), ("",) * len(examples))


def prune(model, encoder, examples):
    """Cut the vocabulary to the tokens that occur; a tied head follows. The same examples in the new numbers."""
    known = sorted({encoder.end, encoder.pad}.union(*({*one.prompt, *one.answer} for one in examples)))
    number = {token: place for place, token in enumerate(known)}
    rows = model.get_input_embeddings().weight.detach()[known].clone()
    model.resize_token_embeddings(len(known))
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(rows)
    model.config.pad_token_id = None
    encoder.end, encoder.pad = number[encoder.end], number[encoder.pad]
    return [
        Example(one.id, tuple(number[token] for token in one.prompt), tuple(number[token] for token in one.answer))
        for one in examples
    ]
