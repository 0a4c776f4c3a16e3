"""A tiny teacher that knows the capitals of a dozen countries, and its tickets. One thread: two are slower here."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from curate.artifact import sha256_file, sha256_folder
from curate.distillation.batches import Encoder, collate
from curate.distillation.config import parse_config
from curate.gate import ApprovedDataset, ApprovedTeacher, Finding, Verdict
from curate.licenses.decision import Case, Decision, Lineage, PolicyRef
from curate.prompts.results import PromptDecision

torch.set_num_threads(1)

CAPITALS = {
    "france": "paris", "italy": "rome", "spain": "madrid", "japan": "tokyo", "egypt": "cairo", "peru": "lima",
    "norway": "oslo", "cuba": "havana", "chile": "santiago", "kenya": "nairobi", "iran": "tehran", "greece": "athens",
}  # fmt: skip
ASKED = ["capital of {}", "name the capital of {} please", "which city governs {}", "{} is led from where"]
QUESTIONS = [(form.format(land), city) for land, city in CAPITALS.items() for form in ASKED]
TEMPLATE = (
    "{% for turn in messages %}{{ '<s>' + turn['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<a>' }}{% endif %}"
)


def make_tokenizer(texts, size=320, template=TEMPLATE):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<pad>", "<s>", "</s>", "<a>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", bos_token="<s>", eos_token="</s>", chat_template=template
    )


def make_model(vocabulary, layers=3, width=32, heads=2, seed=0, **settings):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=settings.pop("kv_heads", heads),
        max_position_embeddings=64,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
        **settings,
    )
    return LlamaForCausalLM(config).eval()


def train_teacher(model, encoder, steps=150):
    examples = encoder.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))
    batch = collate(examples, encoder.pad)
    labels = batch.input_ids.masked_fill(~batch.predicts.roll(1, dims=1), -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=batch.input_ids, attention_mask=batch.mask.long(), labels=labels).loss.backward()
        optimizer.step()
    return model.eval()


@dataclass
class Classroom:
    """A folder with everything a distillation needs."""

    root: Path
    teacher_ticket: ApprovedTeacher
    dataset_ticket: ApprovedDataset

    @property
    def teacher(self) -> Path:
        return Path(self.teacher_ticket.location)


def make_config(**changes):
    payload = {
        "student": {"keep_layers": [0, 2]},
        "losses": {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1},
        "epochs": 6,
        "batch_tokens": 160,
        "max_answer_tokens": 8,
        "learning_rate": 3e-3,
        "precision": "fp32",
        "evaluation": {"fraction": 0.15},
    }
    return parse_config(payload | changes)


def approve(root, teacher, rows, *, case=None):
    finding = Finding(rule="license", subject="teacher", verdict=Verdict.ALLOW, message="apache-2.0")
    decision = Decision(
        ref="tiny/teacher",
        case=case or Case(),
        verdict=Verdict.ALLOW,
        findings=(finding,),
        lineage=Lineage(nodes=()),
        policy=PolicyRef(name="default", sha256="0" * 64),
        catalogue_sha256="0" * 64,
        decided_on=date(2026, 1, 1),
        curate_version="0",
    )
    decision.write(root / "decision.json")
    ticket = decision.approve(location=str(teacher), content_sha256=sha256_folder(teacher))
    ticket.write(root / "teacher.json")
    pq.write_table(pa.Table.from_pylist(rows), root / "prompts.parquet")
    verdict = PromptDecision(
        file_sha256=sha256_file(root / "prompts.parquet"),
        rows=len(rows),
        verdict=Verdict.ALLOW,
        findings=(finding,),
        filter_sha256="0" * 64,
        diversity_sha256="0" * 64,
        policy_sha256="0" * 64,
        decided_on=date(2026, 1, 1),
        curate_version="0",
    )
    verdict.write(root / "prompt_decision.json")
    dataset = verdict.approve(path="prompts.parquet")
    dataset.write(root / "dataset.json")
    return Classroom(root, ticket, dataset)


def make_rows(with_answers=False):
    return [
        {"id": f"q{n}", "prompt": prompt} | ({"answer": answer} if with_answers else {})
        for n, (prompt, answer) in enumerate(QUESTIONS)
    ]


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer([text for pair in QUESTIONS for text in pair])


@pytest.fixture(scope="session")
def teacher_folder(tmp_path_factory, tokenizer):
    folder = tmp_path_factory.mktemp("teacher")
    encoder = Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8)
    model = train_teacher(make_model(len(tokenizer)), encoder)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def classroom(tmp_path, teacher_folder):
    return approve(tmp_path, teacher_folder, make_rows())
