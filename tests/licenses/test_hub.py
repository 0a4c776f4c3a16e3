"""The hub against a small server on this machine that speaks its routes and makes every trouble a hub can make."""

import json
import socket
from datetime import date

import huggingface_hub.constants
import pytest

from curate.errors import HubUnreachable, ModelNotFound
from curate.gate import Verdict
from curate.licenses.check import check_license
from curate.licenses.hub import Hub
from curate.licenses.hub_cache import HubCache, cache_folder
from curate.licenses.names import ModelRef
from curate.licenses.sources import make_source
from curate.policy import load_policy
from curate.policy.waivers import Waiver

from .hub_server import COMMIT, MIT, TOKEN, HubRoutes, serve

TODAY = date(2026, 11, 26)


@pytest.fixture
def endpoint(monkeypatch):
    """A fresh server; the client waits at most a second for a file."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    server, address = serve()
    yield address
    server.shutdown()


@pytest.fixture
def waits():
    """How long the client was told to sleep."""
    return []


@pytest.fixture
def hub(endpoint, tmp_path, waits):
    """A hub with its own cache that never really sleeps."""
    return Hub(endpoint=endpoint, cache=str(tmp_path / "cache"), timeout_s=1.0, sleep=waits.append, token=False)


def ref(name, **more):
    return ModelRef("model", name, **more)


def judged(source, name, **more):
    return check_license(name, policy=load_policy("default"), source=source, today=TODAY, **more)


def test_a_card_comes_with_its_commit_its_license_files_and_its_tags(hub):
    card = hub.fetch(ref("good/small"))
    assert card.revision == COMMIT
    assert COMMIT in card.where
    assert set(card.files) == {"LICENSE", "config.json"}
    assert hub.fetch(ref("good/tagged")).tags == ("license:mit", "base_model:finetune:meta-llama/Llama-2-7b-hf")


def test_license_files_are_kept_byte_for_byte_and_configuration_is_not_among_them(hub):
    assert hub.fetch(ref("good/small")).originals == {"LICENSE": MIT.encode()}


def test_a_parent_in_the_hubs_own_tags_is_followed(hub):
    assert "license-laundering" in {found.rule for found in judged(hub, "good/tagged").findings}


def test_a_repository_without_a_card_has_no_license(hub):
    assert [found.rule for found in judged(hub, "good/bare").findings] == ["missing-license"]


def test_names_of_files_that_no_folder_should_hold_are_left_out(hub):
    assert set(hub.fetch(ref("odd/names")).files) == {"LICENSE"}


def test_404_and_401_without_a_token_mean_that_there_is_no_such_repository(hub):
    assert hub.fetch(ref("nobody/nothing")) is None
    assert hub.fetch(ref("private/model")) is None
    with pytest.raises(ModelNotFound, match="no card was found"):
        judged(hub, "nobody/nothing")


def test_a_revision_that_is_not_there_is_not_found(hub):
    with pytest.raises(ModelNotFound, match="no revision 'gone'"):
        hub.fetch(ref("good/small", revision="gone"))


def test_a_wrong_token_is_no_answer_and_is_not_tried_again(endpoint, waits):
    with pytest.raises(HubUnreachable, match=r"HTTP 401.*HF_TOKEN"):
        Hub(endpoint=endpoint, token="hf_wrong", sleep=waits.append).fetch(ref("good/small"))
    assert waits == []


def test_a_repository_the_hub_has_closed_is_not_found(hub):
    with pytest.raises(ModelNotFound, match="closed"):
        hub.fetch(ref("closed/model"))


def test_a_gated_model_is_a_review_of_its_own_even_if_its_card_is_open(hub):
    decision = judged(hub, "gated/open-card")
    assert decision.verdict is Verdict.REVIEW
    assert [found.rule for found in decision.findings if found.verdict is not Verdict.ALLOW] == ["gated-repository"]


def test_a_gate_on_a_parent_that_could_be_read_does_not_bind_the_child(hub):
    assert judged(hub, "good/over-gated").verdict is Verdict.ALLOW


def test_a_withheld_card_is_read_from_what_the_hub_tells_in_the_open(hub):
    decision = judged(hub, "gated/metadata")
    assert decision.verdict is Verdict.REVIEW
    assert {found.rule for found in decision.findings} == {"license-terms", "gated-repository"}
    assert "not handed out" in next(one.message for one in decision.findings if one.rule == "gated-repository")


@pytest.mark.parametrize("name", ["gated/silent", "gated/shut"])
def test_a_withheld_card_is_a_gate_and_not_a_missing_license(hub, name):
    decision = judged(hub, name)
    assert decision.verdict is Verdict.REVIEW
    assert {found.rule for found in decision.findings} == {"gated-repository", "unknown-license"}


def test_a_signed_acceptance_opens_a_gate_but_does_not_stand_in_for_a_license(hub):
    waiver = Waiver(
        rule="gated-repository", subject="gated/*", reason="terms accepted by legal", signed_by="R. Muster",
        signed_on=TODAY, until=TODAY,
    )  # fmt: skip
    policy = load_policy("default").model_copy(update={"waivers": (waiver,)})
    for name, verdict in (("metadata", Verdict.ALLOW), ("open-card", Verdict.ALLOW), ("silent", Verdict.REVIEW)):
        assert check_license(f"gated/{name}", policy=policy, source=hub, today=TODAY).verdict is verdict


def test_with_a_token_a_gated_card_is_read_and_its_acceptance_still_has_to_be_recorded(endpoint, tmp_path):
    hub = Hub(endpoint=endpoint, token=TOKEN, cache=str(tmp_path))
    card = hub.fetch(ref("gated/metadata"))
    assert (card.withheld, card.gated) == (False, "manual")
    assert judged(hub, "gated/metadata").verdict is Verdict.REVIEW


def test_429_is_waited_out_for_as_long_as_the_hub_says(hub, waits):
    assert hub.fetch(ref("flaky/busy")).revision == COMMIT
    assert waits == [3.0, 3.0]


def test_a_hub_that_asks_for_an_hour_has_not_answered(hub, waits):
    with pytest.raises(HubUnreachable, match="HTTP 429"):
        hub.fetch(ref("flaky/impatient"))
    assert waits == []


def test_a_server_error_that_passes_is_no_error(hub, waits):
    assert hub.fetch(ref("flaky/error")) is not None
    assert waits == [0.5]


def test_a_server_error_that_stays_is_no_answer(hub, waits):
    with pytest.raises(HubUnreachable, match="HTTP 500"):
        hub.fetch(ref("broken/model"))
    assert waits == [0.5, 1.0, 2.0]


def test_a_file_that_comes_at_the_second_try_is_read_whole(hub):
    assert hub.fetch(ref("flaky/file-busy")).content.startswith(b"---\nlicense: apache-2.0")
    assert hub.fetch(ref("half/file-once")).content.startswith(b"---\nlicense: apache-2.0")


@pytest.mark.parametrize("name", ["half/json", "half/file", "half/no-commit", "odd/not-json", "slow/answer"])
def test_half_answers_odd_answers_and_time_outs_are_no_answer(hub, name):
    hub.tries, hub.timeout_s = (1, 1.0) if name == "half/file" else (2, 0.3)  # the client tries a cut file 5 times
    with pytest.raises(HubUnreachable):
        judged(hub, name)


def test_a_hub_that_is_down_is_no_answer_even_for_a_name_the_catalogue_knows(tmp_path, waits):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        down = Hub(endpoint=f"http://127.0.0.1:{free.getsockname()[1]}", cache=str(tmp_path), sleep=waits.append)
    for _ in range(2):
        with pytest.raises(HubUnreachable):
            judged(down, "EleutherAI/gpt-neo-1.3B")
    assert waits == [0.5, 1.0, 2.0]


def test_a_pinned_file_is_asked_for_once_and_then_read_from_the_cache(hub):
    hub.fetch(ref("good/small"))
    asked = HubRoutes.seen[f"GET /good/small/resolve/{COMMIT}/README.md"]
    hub.fetch(ref("good/small"))
    assert HubRoutes.seen[f"GET /good/small/resolve/{COMMIT}/README.md"] == asked == 1


def test_offline_the_hubs_cache_is_read_and_the_commit_recorded(hub, tmp_path, monkeypatch):
    hub.fetch(ref("good/small"))
    asked = HubRoutes.seen.total()
    cache = HubCache(tmp_path / "cache")
    card = cache.fetch(ref("good/small", revision=COMMIT))
    assert (card.revision, set(card.files)) == (COMMIT, {"LICENSE", "config.json"})
    assert cache.fetch(ref("good/tagged")) is None
    assert cache.fetch(ModelRef("api", "openai/gpt-4o")) is None
    refs = tmp_path / "cache/models--good--small/refs"
    refs.mkdir(exist_ok=True)
    (refs / "main").write_text(COMMIT)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    decision = judged(make_source(offline=True), "good/small")
    assert (decision.verdict, decision.revision) == (Verdict.ALLOW, COMMIT)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert json.loads(judged(make_source(), "good/small").to_json())["revision"] == COMMIT
    assert HubRoutes.seen.total() == asked


def test_the_cache_lies_where_the_hubs_client_keeps_it(monkeypatch, tmp_path):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/huggingface/hub"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x/huggingface/hub"
    monkeypatch.setenv("HF_HOME", str(tmp_path / "h"))
    assert cache_folder() == tmp_path / "h/hub"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "c"))
    assert cache_folder() == tmp_path / "c"
