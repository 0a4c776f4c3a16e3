"""The quality score's agreement with labelled faults, and unfilled templates found and falsely found.

CURATE_CORPUS=<folder> python bench/quality.py
"""

import csv
import random
import time
from collections import defaultdict

import numpy as np
from corpora import corpus, read_set
from machine import describe, markdown, write_table

from curate.prompts.reading import read_prompts
from curate.prompts.scores import quality_score
from curate.prompts.templates import unfilled_slot

FAULTS = ("garbage", "empty", "emoji_only")
STYLES = (
    "{{topic}}", "{{{{ topic }}}}", "{{company name}}", "${{topic}}", "[INSERT TOPIC]", "[Your Name]", "[COMPANY NAME]",
    "[TOPIC]", "[topic]", "<topic>", "<your name>", "<<topic>>", "____", "[...]", "%topic%", "{{0}}", "XXX",
)  # fmt: skip
FRAMES = (
    "Write a short poem about {}.",
    "Summarize the history of {} for a beginner",
    "Translate the following into French: {}",
    "Act as an expert in {} and review my plan.",
)
PLAIN = (
    "humaneval", "arena_hard", "mt_bench", "vicuna_bench", "koala_testset", "ifeval", "mmlu_sample", "bbh", "gsm8k",
    "self_instruct_user", "oasst_sample", "clinc150", "banking77", "snips", "slurp",
)  # fmt: skip


def agreement():
    from sklearn.metrics import roc_auc_score

    folder = corpus() / "mixed_pool"
    pool = read_prompts(folder / "pool.jsonl")
    started = time.process_time()
    scores = dict(zip(pool.ids, map(quality_score, pool.texts), strict=True))
    speed = len(scores) / (time.process_time() - started)
    labels = {row["row_id"]: row for row in csv.DictReader((folder / "pool_labels.csv").open(encoding="utf-8"))}
    clean = [scores[one] for one in pool.ids if labels[one]["injected"] == "0"]
    kinds = defaultdict(list)
    for row in csv.DictReader((folder / "pool_truth.csv").open(encoding="utf-8")):
        kinds[row["kind"]].append(scores[row["row_id"]])
        if row["kind"] in FAULTS:
            kinds["these three together"].append(scores[row["row_id"]])
    rows = []
    for kind in (
        *FAULTS,
        "these three together",
        "near_typo",
        "very_long",
        "non_english",
        "exact_dup",
        "hard_negative_number",
    ):
        found = kinds[kind]
        area = roc_auc_score([0] * len(clean) + [1] * len(found), [-score for score in clean + found])
        rows.append(
            [kind, len(found), f"{area:.3f}", f"{np.median(found):.2f}", f"{np.mean(np.array(found) < 0.4):.2f}"]
        )
    under = np.mean(np.array(clean) < 0.4)
    head = f"{len(clean):,} rows not injected: median {np.median(clean):.2f}, {under:.2%} under 0.4"
    head += f"; {speed:,.0f} rows a CPU second"
    return f"## Quality score\n\n{head}\n\n" + markdown(["fault", "rows", "AUROC", "median", "under 0.4"], rows)


def templates():
    lines = []
    for style in STYLES:
        slot = style.format()
        found = [bool(unfilled_slot(frame.format(slot))) for frame in FRAMES]
        lines.append([f"`{slot}`", len(found), f"{np.mean(found):.2f}"])
    known = "## Unfilled slots\n\nIn four sentences each\n\n" + markdown(["slot", "rows", "found"], lines)
    alarms = []
    for name in PLAIN:
        texts = [row["prompt"] for row in read_set(name)]
        texts = random.Random(0).sample(texts, min(3000, len(texts)))
        count = sum(bool(unfilled_slot(text)) for text in texts)
        alarms.append([name, len(texts), count, f"{count / len(texts):.2%}"])
    return known + "\n\nFound in sets that are no templates\n\n" + markdown(["set", "rows", "found", "share"], alarms)


if __name__ == "__main__":
    write_table("quality", "# Quality\n\n" + describe("scikit-learn") + "\n\n" + agreement() + "\n\n" + templates())
