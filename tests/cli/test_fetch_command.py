"""``curate fetch`` and ``check-license`` on many references, as users type them, against a hub on this machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from curate.licenses.card_index import CardIndex
from tests.licenses.hub_server import COMMIT, OTHER, HubRoutes, serve

ROOT = Path(__file__).parents[2]


@pytest.fixture
def endpoint():
    """A fresh server."""
    server, address = serve()
    yield address
    server.shutdown()


@pytest.fixture
def curate(endpoint, tmp_path):
    """Run the command with the server as its hub and a cache of its own."""

    def run(*arguments, endpoint=endpoint, **more):
        environment = {
            **os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1", "CURATE_CARDS": "", "CURATE_POLICY": "default", **more,
        }  # fmt: skip
        for name in ("HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"):
            if name not in more:
                environment.pop(name, None)
        command = [sys.executable, "-m", "curate", *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=60, check=False, cwd=ROOT
        )
        assert "Traceback" not in done.stderr
        return done

    return run


def judged(curate, ref, *arguments):
    """Exit code, and of the decision what two ways of reading must agree on."""
    done = curate("check-license", ref, "-f", "json", *arguments)
    decision = json.loads(done.stdout)
    findings = [(one["rule"], one["subject"], one["verdict"], one["message"]) for one in decision["findings"]]
    nodes = [(node["ref"], node["revision"], node["sha256"], node["status"]) for node in decision["lineage"]["nodes"]]
    told = (decision["verdict"], decision["revision"], findings, nodes, decision["obligations"])
    return done.returncode, told


REFS = ("good/small", "good/tagged", "good/child", "good/bare", "good/orphan", "gated/metadata", "gated/silent",
        "dataset:good/set")  # fmt: skip


def test_what_was_fetched_gives_the_same_verdict_without_a_network(curate, tmp_path):
    folder = tmp_path / "cards"
    done = curate("fetch", *REFS, "--to", folder)
    assert done.returncode == 0, done.stderr
    index = CardIndex.read(folder / "index.json")
    assert {card.revision for card in index.cards} == {COMMIT}
    assert {card.ref for card in index.cards} >= {*REFS, "meta-llama/Llama-2-7b-hf"}
    assert index.absent == ("nobody/knows-this",)
    assert (folder / "models/good__small/LICENSE").is_file()
    for ref in REFS:
        online = judged(curate, ref)
        asked = HubRoutes.seen.total()
        assert judged(curate, ref, "--cards", folder) == online
        assert judged(curate, ref, "--cards", folder, "--offline") == online
        assert HubRoutes.seen.total() == asked


def test_a_fetched_card_is_pinned_and_another_revision_is_not_passed_off_as_it(curate, tmp_path):
    assert curate("fetch", "good/small@v1", "--to", tmp_path / "c").returncode == 0
    for revision, code in (("v1", 0), (COMMIT, 0), (OTHER, 6)):
        done = curate("check-license", f"good/small@{revision}", "--cards", tmp_path / "c")
        assert done.returncode == code, done.stderr


def test_a_fetched_file_that_was_changed_is_exit_7(curate, tmp_path):
    curate("fetch", "good/small", "--to", tmp_path / "c")
    card = tmp_path / "c/models/good__small/README.md"
    card.write_text(card.read_text().replace("apache-2.0", "mit"))
    done = curate("check-license", "good/small", "--cards", tmp_path / "c")
    assert (done.returncode, done.stdout) == (7, "")
    assert "not the file that was fetched" in done.stderr


def test_a_second_fetch_adds_to_the_first(curate, tmp_path):
    curate("fetch", "good/small", "--to", tmp_path / "c")
    curate("-q", "fetch", "good/tagged", "--to", tmp_path / "c")
    index = CardIndex.read(tmp_path / "c/index.json")
    assert {card.ref for card in index.cards} == {"good/small", "good/tagged", "meta-llama/Llama-2-7b-hf"}


def test_fetching_what_the_hub_does_not_know_or_cannot_tell_is_exit_6(curate, tmp_path):
    done = curate("fetch", "nobody/nothing", "good/small", "--to", tmp_path / "c")
    assert done.returncode == 6
    assert [card.ref for card in CardIndex.read(tmp_path / "c/index.json").cards] == ["good/small"]
    assert curate("fetch", "flaky/impatient", "--to", tmp_path / "d").returncode == 6
    assert not (tmp_path / "d").exists()
    assert curate("fetch", "api:openai/gpt-4o", "--to", tmp_path / "d").returncode == 5
    assert curate("fetch", "--to", tmp_path / "d").returncode == 2


def test_many_references_are_looked_up_side_by_side_in_order_and_each_card_once(curate, tmp_path):
    listed = tmp_path / "refs.txt"
    listed.write_text(
        "\ufeff# all\ngood/tagged\ngood/small # fine\n\ngood/child\ngood/over-gated\nnobody/nothing\nslow/answer\nslow/other\n"
    )
    done = curate("check-license", "--from", listed, "-f", "jsonl")
    assert [json.loads(line)["ref"] for line in done.stdout.splitlines()] == [
        "good/tagged", "good/small", "good/child", "good/over-gated", "nobody/nothing", "slow/answer", "slow/other",
    ]  # fmt: skip
    assert done.returncode == 3
    assert HubRoutes.seen["GET /api/models/good/small"] == 1
    assert 1 < HubRoutes.most_active <= 8


@pytest.mark.parametrize(
    ("refs", "code"),
    [
        (("good/small", "good/tagged", "broken/model"), 3), (("good/small", "flaky/impatient", "good/bare"), 6),
        (("good/small", "good/bare"), 4), (("good/small", "good/child"), 0), (("good/small", "good/small@gone"), 6),
    ],
)  # fmt: skip
def test_of_several_references_the_gravest_code_counts(curate, refs, code):
    assert curate("check-license", *refs, "-f", "jsonl").returncode == code


def test_a_hub_that_is_down_is_exit_6_and_never_a_verdict(curate):
    down = "http://127.0.0.1:9"
    done = curate("check-license", "EleutherAI/gpt-neo-1.3B", endpoint=down)
    assert (done.returncode, done.stdout) == (6, "")
    assert done.stderr.count("\n") == 1
    assert curate("check-license", "EleutherAI/gpt-neo-1.3B", "--offline", endpoint=down).returncode == 0
    assert curate("check-license", "EleutherAI/gpt-neo-1.3B", endpoint=down, HF_HUB_OFFLINE="1").returncode == 0
    assert curate("check-license", "gpt-4", endpoint=down).returncode == 3


def test_references_come_from_standard_input(endpoint, tmp_path):
    command = [sys.executable, "-m", "curate", "check-license", "--from", "-", "--offline", "-f", "jsonl"]
    done = subprocess.run(
        command,
        input="# two\ngpt-4\ngoogle/flan-t5-base # small\n",
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert [json.loads(line)["ref"] for line in done.stdout.splitlines()] == ["gpt-4", "google/flan-t5-base"]
    assert done.returncode == 3
