import pytest

from curate.errors import ConfigError
from curate.safeyaml import MAX_DEPTH, parse_yaml


def parse(text):
    return parse_yaml(text, where="f.yaml", error=ConfigError)


def test_plain_values_are_read():
    assert parse("a: 1\nb: [x, true]\n") == {"a": 1, "b": ["x", True]}


@pytest.mark.parametrize(
    ("text", "place", "why"),
    [
        ("a: 1\na: 2\n", "f.yaml:2", "already given at line 1"),
        ("a: &x [1]\nb: *x\n", "f.yaml:1", "aliases"),
        ("a: {<<: {b: 1}}\n", "f.yaml:1", "merge"),
        ("a: [1\n", "f.yaml:2", "not YAML"),
        ("\n\na: !!python/object:os.system x\n", "f.yaml:3", "not YAML"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2", "not YAML"),
        ("[" * (MAX_DEPTH + 2), "f.yaml:1", "deeper"),
    ],
)
def test_odd_yaml_is_refused_with_its_line(text, place, why):
    with pytest.raises(ConfigError) as refusal:
        parse(text)
    assert place in str(refusal.value)
    assert why in str(refusal.value)


def test_a_bomb_of_aliases_is_refused_before_it_grows():
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{n}: &{n} [{','.join(['*' + p] * 9)}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
    )
    with pytest.raises(ConfigError, match="aliases"):
        parse(bomb)
