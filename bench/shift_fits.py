"""Formulas for error against shift: least squares and R², with intervals over seeds."""

import numpy as np

OFFSETS = np.geomspace(1, 100_000, 51)
"""Tried in place of a constant under the logarithm."""


def straight(x):
    return [np.column_stack([np.ones(len(x)), x])]


def bent(x):
    return [np.column_stack([np.ones(len(x)), x, x**2])]


FORMULAS = {
    "linear in share": (2, lambda of: straight(of("share"))),
    "linear in √MMD²": (2, lambda of: straight(of("mmd"))),
    "linear in MMD²": (2, lambda of: straight(of("mmd") ** 2)),
    "log(on-domain tokens + 100)": (2, lambda of: straight(np.log(of("on") + 100))),
    "log(on-domain tokens + c)": (3, lambda of: [straight(np.log(of("on") + c))[0] for c in OFFSETS]),
    "quadratic in share": (3, lambda of: bent(of("share"))),
    "quadratic in √MMD²": (3, lambda of: bent(of("mmd"))),
}
"""How many coefficients each has, and its design matrices, of which the best counts."""
DRAWS = 1000


def r2(designs, y) -> float:
    """Of the best least-squares fit; nan where y does not vary."""
    spread = ((y - y.mean()) ** 2).sum()
    if spread == 0:
        return float("nan")
    left = min(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum() for design in designs)
    return float(1 - left / spread)


def fits(points, name) -> dict[str, float]:
    """R² of every formula for one figure of some students."""
    y = np.array([point[name] for point in points], dtype=float)
    return {
        form: r2(rule(lambda what: np.array([point[what] for point in points], dtype=float)), y)
        for form, (_, rule) in FORMULAS.items()
    }


def r2_intervals(points, name, draws=DRAWS) -> dict[str, tuple[float, float]]:
    """95 % percentile intervals of R² when whole seeds are drawn anew."""
    draw = np.random.default_rng(0)
    seeds = sorted({point["seed"] for point in points})
    by_seed = [[point for point in points if point["seed"] == seed] for seed in seeds]
    found = {form: [] for form in FORMULAS}
    for _ in range(draws):
        mine = [point for place in draw.integers(len(seeds), size=len(seeds)) for point in by_seed[place]]
        for form, value in fits(mine, name).items():
            found[form].append(value)
    return {form: tuple(np.quantile(values, [0.025, 0.975])) for form, values in found.items()}
