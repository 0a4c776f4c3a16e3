"""Layer maps."""

import pytest

from curate.distillation.layers import map_attention, map_hidden
from curate.errors import ConfigError


def pairs(layer_map):
    return [(student, teacher) for student, teacher, _ in layer_map]


def test_stitch_pairs_each_output_with_what_enters_the_next_kept_layer():
    assert pairs(map_hidden("stitch", 3, 6, (0, 2, 5))) == [(1, 2), (2, 5), (3, 6)]
    assert pairs(map_attention("stitch", 3, 6, (0, 2, 5))) == [(0, 0), (1, 2), (2, 5)]


def test_uniform_pairs_equal_depths():
    assert pairs(map_hidden("uniform", 3, 6)) == [(1, 2), (2, 4), (3, 6)]
    assert pairs(map_attention("uniform", 3, 6)) == [(0, 1), (1, 3), (2, 5)]
    assert pairs(map_hidden("stitch", 3, 6)) == pairs(map_hidden("uniform", 3, 6))


def test_last_n_counts_from_the_end():
    assert pairs(map_hidden("last-n", 2, 6)) == [(1, 5), (2, 6)]
    assert pairs(map_attention("last-n", 2, 6)) == [(0, 4), (1, 5)]


def test_embedding_and_last_pairs_both_ends():
    assert pairs(map_hidden("embedding+last", 2, 6)) == [(0, 0), (2, 6)]
    assert pairs(map_attention("embedding+last", 2, 6)) == [(0, 0), (1, 5)]


@pytest.mark.parametrize("preset", ["stitch", "uniform", "last-n", "embedding+last"])
@pytest.mark.parametrize(("student", "teacher"), [(1, 1), (1, 6), (2, 2), (3, 2), (5, 7)])
def test_every_preset_stays_within_both_models_and_weighs_one(preset, student, teacher):
    for layer_map, ours, theirs in [
        (map_hidden(preset, student, teacher), student + 1, teacher + 1),
        (map_attention(preset, student, teacher), student, teacher),
    ]:
        assert layer_map
        assert all(0 <= s < ours and 0 <= t < theirs for s, t, _ in layer_map)
        assert sum(weight for _, _, weight in layer_map) == pytest.approx(1)


def test_explicit_triples_are_taken_as_they_are():
    assert map_hidden(((0, 0, 0.5), (2, 6, 2.0)), 2, 6) == ((0, 0, 0.5), (2, 6, 2.0))


@pytest.mark.parametrize("triples", [((3, 0, 1.0),), ((0, 7, 1.0),), ((0, 0, -1.0),), ((-1, 0, 1.0),), ()])
def test_triples_that_do_not_fit_are_a_config_error(triples):
    with pytest.raises(ConfigError, match=r"losses\.feature\.layers"):
        map_hidden(triples, 2, 6)
    with pytest.raises(ConfigError, match=r"losses\.attention\.layers"):
        map_attention(triples, 2, 6)
