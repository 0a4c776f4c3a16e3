"""The exported student is one that EleutherAI's harness (lm-eval) reads; it is no dependency, so it may be missing."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest

from curate.distillation.student import export_student, keep_layers

from .classroom import CAPITALS, make_model
from .test_seq2seq import make_t5

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed"),
]
TASK = """\
task: capitals
dataset_path: json
dataset_kwargs:
  data_files: {test: ROWS}
test_split: test
output_type: OUTPUT
doc_to_text: "capital of {{land}}"
"""
KINDS = {
    "causal": (make_model, 'doc_to_choice: ["{{city}}", "{{other}}"]\ndoc_to_target: 0\n', "multiple_choice"),
    "t5": (
        make_t5,
        'doc_to_target: "{{city}}"\ngeneration_kwargs: {until: ["."], max_gen_toks: 8}\n',
        "generate_until",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_harness_reads_the_exported_student(tmp_path, tokenizer, kind):
    make, targets, output = KINDS[kind]
    student = keep_layers(make(len(tokenizer)), (0, 2))
    export_student(student, tokenizer, tmp_path / "student")
    rows = [{"land": land, "city": city, "other": "utrecht"} for land, city in CAPITALS.items()]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = TASK.replace("ROWS", str(tmp_path / "rows.jsonl")).replace("OUTPUT", output) + targets
    (tmp_path / "capitals.yaml").write_text(task)
    settings = f"pretrained={tmp_path / 'student'},dtype=float32"
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", settings, "--tasks", "capitals"]
    command += ["--include_path", str(tmp_path), "--device", "cpu", "--output_path", str(tmp_path / "results")]
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | offline)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(next((tmp_path / "results").rglob("results_*.json")).read_text())
    assert report["n-samples"]["capitals"]["effective"] == len(CAPITALS)
    assert report["results"]["capitals"]
