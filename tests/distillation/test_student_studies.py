"""The arithmetic under the studies of students in bench/: equal tokens, intervals, formulas."""

import dataclasses
import importlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCH))
        names = ("grounds", "students", "shift_fits", "narrow_students")
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def rows_of(bench, lengths):
    rows = [bench.students.Row(str(place), f"prompt {place}", "d", "i") for place in range(len(lengths))]
    return rows, {str(place): length for place, length in enumerate(lengths)}


@given(lengths=st.lists(st.integers(2, 9), min_size=60, max_size=90), tokens=st.integers(2, 120))
def test_prompts_add_up_to_the_budget_exactly_or_the_study_stops(bench, lengths, tokens):
    rows, known = rows_of(bench, [*lengths, 2, 3])
    taken = bench.students.fill_exactly(rows, known, tokens)
    assert sum(known[row.id] for row in taken) == tokens
    assert len({row.id for row in taken}) == len(taken)


def test_a_budget_that_no_choice_of_prompts_meets_is_refused(bench):
    rows, known = rows_of(bench, [4] * 50)
    with pytest.raises(ValueError, match="cannot add up to 90"):
        bench.students.fill_exactly(rows, known, 90)


@pytest.mark.parametrize("rows", [30, 31, 97])
def test_a_plan_has_as_many_steps_whatever_the_rows_and_reads_each_once_an_epoch(bench, rows):
    steps = bench.students.plan(rows, epochs=3, steps=30, seed=1)
    assert len(steps) == 90
    for epoch in range(3):
        read = [row for step in steps[30 * epoch : 30 * epoch + 30] for batch in step for row in batch]
        assert sorted(read) == list(range(rows))


def test_five_seeds_take_every_domain_once_at_two(bench):
    domains = [f"domain {number}" for number in range(10)]
    taken = [name for seed in range(5) for name in bench.narrow_students.choose_domains(domains, 2, seed)]
    assert sorted(taken) == domains
    assert sorted(bench.narrow_students.choose_domains(domains, 10, 3)) == domains


def test_the_interval_is_students(bench):
    mean, half = bench.students.t_interval([1.0, 2.0, 3.0, 4.0])
    assert mean == 2.5
    assert half == pytest.approx(3.1824 * np.std([1, 2, 3, 4], ddof=1) / 2, rel=1e-4)


def test_each_formula_fits_its_own_curve_and_not_the_others(bench):
    tokens = 2500
    shares = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
    points = [
        {"seed": seed, "share": share, "mmd": 0.3 * share, "on": tokens * (1 - share)}
        for seed in range(3)
        for share in shares
    ]
    for point in points:
        point["straight"] = 1 + 2 * point["share"]
        point["log"] = 5 - np.log(point["on"] + 100)
    straight, log = bench.shift_fits.fits(points, "straight"), bench.shift_fits.fits(points, "log")
    assert straight["linear in share"] == pytest.approx(1)
    assert straight["linear in √MMD²"] == pytest.approx(1)
    assert log["log(on-domain tokens + 100)"] == pytest.approx(1)
    assert log["log(on-domain tokens + c)"] == pytest.approx(1)
    assert log["linear in share"] < 0.9
    assert straight["log(on-domain tokens + 100)"] < 0.9
    low, high = bench.shift_fits.r2_intervals(points, "log", draws=20)["linear in share"]
    assert low == pytest.approx(high)
    assert low == pytest.approx(log["linear in share"])


def test_the_ground_that_ships_is_asked_and_encoded_and_its_teacher_names_most_intents(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    whole = bench.grounds.quick_ground()
    part = dataclasses.replace(whole, pool=whole.pool[:40], test=whole.test[:40])
    monkeypatch.setattr(bench.grounds, "quick_ground", lambda: part)
    ground = bench.grounds.load_ground("quick")
    assert set(ground.examples) == {row.id for row in (*part.pool, *part.test)}
    assert ground.accuracy > 0.6
    assert ground.cache is not None
