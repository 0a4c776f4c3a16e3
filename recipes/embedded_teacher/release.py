"""Write the teacher's folder: half-precision weights, tokenizer, record, card and attributions."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from corpora import ADDED_SETS, Corpora, Example
from evaluate import answer_messages
from model import keep_layers
from transformers import GenerationConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).parent
KEPT_LAYERS = ((0, 3), (0, 7), (4, 7))
Record = dict[str, Any]


def write_release(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    corpora: Corpora,
    settings: Mapping[str, object],
    curve: Sequence[Mapping[str, float]],
    out: Path,
) -> Record:
    """Write the folder, measure the weights as saved, and return the record that was written with them."""
    out.mkdir(parents=True, exist_ok=True)
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight.to(torch.float16)).all():
            raise ValueError(f"{name} does not fit half precision; train again with more weight decay")
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
        max_new_tokens=24,
    )
    model.half().eval().save_pretrained(out)
    tokenizer.save_pretrained(out)
    # What is measured is what a user loads: the rounded weights, computed with in single precision.
    loaded = LlamaForCausalLM.from_pretrained(out, dtype=torch.float32)
    dev, _ = measure(loaded, tokenizer, corpora.dev)
    test, valid = measure(loaded, tokenizer, corpora.test)
    record: Record = {
        "what": "embedded intent teacher, trained from random weights",
        "parameters": loaded.num_parameters(),
        "accuracy": {
            "dev": dev,
            "dev_rows": len(corpora.dev),
            "banking77_test": test,
            "banking77_test_rows": len(corpora.test),
            "banking77_test_answers_that_name_an_intent": valid,
            "two_kept_layers_untrained_banking77_test": measure_kept_layers(loaded, tokenizer, corpora.test),
            "how": "greedy generation in float32, exact match of the intent's name",
        },
        "settings": dict(settings),
        "data": corpora.files,
        "steps": curve[-1]["step"],
        "wall_s": curve[-1]["wall_s"],
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "tokenizers": tokenizers.__version__,
        },
        "machine": f"CPU, {platform.machine()}, {settings['threads']} thread(s), bfloat16 autocast",
        "curve": list(curve),
    }
    record["files"] = {name: digest(out / name) for name in sorted(released_names(out))}
    (out / "training_record.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (out / "README.md").write_text(fill_card(record, loaded), encoding="utf-8")
    (out / "ATTRIBUTION.md").write_text((HERE / "attribution.md").read_text(encoding="utf-8"), encoding="utf-8")
    (out / "LICENSE").write_bytes((HERE.parents[1] / "LICENSE").read_bytes())
    return record


def measure(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]
) -> tuple[float, float]:
    """The share of right answers, and of answers that name any intent at all."""
    answers = answer_messages(model, tokenizer, [example.message for example in examples])
    names = {example.answer for example in examples}
    right = sum(answer == example.answer for answer, example in zip(answers, examples, strict=True))
    return round(right / len(examples), 4), round(sum(answer in names for answer in answers) / len(answers), 4)


def measure_kept_layers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, examples: Sequence[Example]
) -> dict[str, float]:
    """The share of right answers when only two layers are kept and nothing is trained: where a student starts."""
    return {
        ",".join(map(str, kept)): measure(keep_layers(model, kept).eval(), tokenizer, examples)[0]
        for kept in KEPT_LAYERS
    }


def released_names(out: Path) -> list[str]:
    """The files whose digests stand in the record: weights, configuration and tokenizer."""
    written_later = {"README.md", "ATTRIBUTION.md", "LICENSE", "training_record.json"}
    return [path.name for path in out.iterdir() if path.is_file() and path.name not in written_later]


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fill_card(record: Record, model: LlamaForCausalLM) -> str:
    """The model card, every number of it taken from the record."""
    accuracy, settings, data = record["accuracy"], record["settings"], record["data"]
    untrained = accuracy["two_kept_layers_untrained_banking77_test"]
    layer = sum(weight.numel() for weight in model.model.layers[0].parameters())
    student = model.num_parameters() - layer * (model.config.num_hidden_layers - 2)
    rows = {name: f"{facts['rows_used']:,}" for name, facts in data.items()}
    dropped = sum(facts["rows_dropped_as_close_to_test"] for facts in data.values())
    numbers = {
        "parameters": f"{record['parameters']:,}",
        "student_parameters": f"{student:,}",
        "student_share": f"{student / model.num_parameters():.3f}",
        "test_accuracy": f"{accuracy['banking77_test']:.4f}",
        "valid_share": f"{accuracy['banking77_test_answers_that_name_an_intent']:.4f}",
        "dev_accuracy": f"{accuracy['dev']:.4f}",
        "test_rows": f"{accuracy['banking77_test_rows']:,}",
        "dev_rows": accuracy["dev_rows"],
        **{f"kept_{kept.replace(',', '_')}": f"{share:.4f}" for kept, share in untrained.items()},
        "steps": f"{record['steps']:,}",
        "minutes": f"{record['wall_s'] / 60:.0f}",
        "dropped": dropped,
        **{f"setting_{name}": value for name, value in settings.items()},
        **{f"rows_{name}": rows[name] for name in ("banking77", *ADDED_SETS)},
        **{f"version_{name}": value for name, value in record["versions"].items()},
    }
    return (HERE / "card.md").read_text(encoding="utf-8").format(**numbers)
