"""Settings, overrides, and what is checked before anything slow."""

import subprocess
import sys

import pytest

from curate.distillation.admission import preflight, signals_used
from curate.distillation.config import DistillConfig, load_config, override, parse_config, without_teacher
from curate.errors import ConfigError

from .classroom import make_config


def test_a_dotted_key_sets_one_field():
    payload = {"losses": {"kd": 0.5, "task": 1.0}, "epochs": 3}
    changed = override(payload, "losses.kd.temperature=2")
    assert changed == {"losses": {"kd": {"weight": 0.5, "temperature": 2}, "task": 1.0}, "epochs": 3}
    assert payload["losses"]["kd"] == 0.5
    assert override({"answers": "text", "epochs": 3}, "answers=") == {"epochs": 3}
    assert override({}, "student.keep_layers=[0, 2]") == {"student": {"keep_layers": [0, 2]}}
    assert override({}, "losses.kd.divergence=jsd:0.5")["losses"]["kd"]["divergence"] == "jsd:0.5"


@pytest.mark.parametrize("item", ["epochs", "=3", "a..b=1", "epochs.of=3x", "losses=[", "answers.column=x"])
def test_an_override_that_makes_no_sense_is_a_config_error(item):
    with pytest.raises(ConfigError):
        parse_config({"epochs": 3, "answers": "text"}, [item])


def test_an_unknown_key_is_named(tmp_path):
    path = tmp_path / "distill.yaml"
    path.write_text("losses:\n  kd: {weigth: 1}\n")
    with pytest.raises(ConfigError, match=r"distill\.yaml: losses\.kd\.weigth"):
        load_config(path)
    path.write_text("")
    assert load_config(path, ["epochs=7"]).epochs == 7
    path.write_text("- 1\n")
    with pytest.raises(ConfigError, match="a mapping is expected"):
        load_config(path)
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "absent.yaml")


def test_the_yardstick_differs_in_the_teachers_terms_alone():
    config = make_config()
    bare = without_teacher(config)
    assert (bare.losses.kd.weight, bare.losses.feature.weight, bare.losses.attention.weight) == (0, 0, 0)
    assert bare.losses.task == 1
    assert bare.model_copy(update={"losses": config.losses}) == config


def test_the_signals_a_config_uses_are_named_as_the_gate_names_them():
    assert signals_used(make_config()) == ("responses", "logits", "hidden-states", "attentions")
    assert signals_used(without_teacher(make_config())) == ("responses",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"losses": {"kd": {"divergence": "kl"}}}, "no such loss"),
        ({"signals": "cached"}, "holds no attention maps"),
        ({"losses": {"task": 0, "kd": 0}}, "nothing to learn"),
        ({"student": {}}, "neither"),
        ({"student": {"keep_layers": [0, 5]}}, "keep_layers"),
        ({"losses": {"feature": {"weight": 1, "layers": [[9, 0, 1.0]]}}}, "feature"),
        ({"losses": {"attention": {"weight": 1, "layers": [[0, 3, 1.0]]}}}, "attention"),
        ({"evaluation": {"file": "absent.jsonl"}}, "no such file"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_loaded(changes, message, teacher_folder):
    with pytest.raises(ConfigError, match=message):
        preflight(make_config(**changes), teacher=str(teacher_folder))


def test_a_config_that_can_run_passes(teacher_folder):
    assert preflight(make_config(), teacher=str(teacher_folder)) is None
    assert preflight(make_config()) is None


def test_settings_and_results_load_no_torch():
    code = (
        "import sys, curate.distillation.config, curate.distillation.results, curate.distillation.layers;"
        "import curate.cli.distill;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_defaults_are_a_valid_config():
    assert DistillConfig().losses.kd.divergence == "forward_kl"
