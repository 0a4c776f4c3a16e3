"""Does student error grow with off-domain training prompts, and how? Students taught on mixtures at equal tokens.

    CURATE_CORPUS=<folder> python bench/prompt_shift.py    CLINC150; writes bench/results/prompt_shift.md and .svg
    python bench/prompt_shift.py --quick                   what ships with curate, fewer students; writes nothing

A share of the answer tokens comes from prompts of another kind, the rest from all ten domains; the exam is always on
all ten domains. The divergence is curate's √MMD² (default embedder) between the training prompts and a reference of the
target that no student learns from. Students taught on the on-domain part alone, in as many steps, tell what the
off-domain part does beside taking the place of on-domain prompts.
"""

import functools

import numpy as np
from grounds import load_ground
from machine import RESULTS, describe, markdown, write_table
from shift_fits import FORMULAS, fits, r2_intervals
from students import (
    Exam,
    Figures,
    balanced,
    command,
    describe_setting,
    fill_exactly,
    parse_options,
    settings_of,
    show,
    t_interval,
    teach,
)
from study_charts import curve

KINDS = ("banking77", "gsm8k")
"""Prompts of another task that is near one of the ten domains, and of a far one."""
SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
ALONE = "on-domain part alone"
EVERY = "all kinds"
REFERENCE = 1000


def other_rows(ground, kind):
    """Prompts of one kind: another task's, or one domain of the target alone."""
    return ground.others.get(kind) or [row for row in ground.pool if row.domain == kind]


def choose_rows(ground, kind, share, options, seed):
    """``(rows, on-domain tokens)``: the same seed takes the same prompts in the same order for every share."""
    lengths = {row.id: len(example.answer) for row in all_rows(ground) if (example := ground.examples[row.id])}
    off = round(share * options.tokens)
    draw = np.random.default_rng(seed)
    domains = [[row for row in ground.pool if row.domain == name] for name in ground.domains]
    shares = [len(part) for part in np.array_split(np.arange(options.tokens - off), len(domains))]
    rows = []
    for mine, tokens in zip(domains, shares, strict=True):
        order = draw.permutation(len(mine))
        rows += fill_exactly([mine[place] for place in order], lengths, tokens) if tokens else []
    if off and kind != ALONE:
        taken = {row.id for row in rows}
        mine = [row for row in other_rows(ground, kind) if row.id not in taken]
        order = np.random.default_rng([seed, 1]).permutation(len(mine))
        rows += fill_exactly([mine[place] for place in order], lengths, off)
    return rows, options.tokens - off


def all_rows(ground):
    return [*ground.pool, *(row for other in ground.others.values() for row in other)]


def divergence(ground, rows, encode, seed):
    """√MMD² between training prompts and the reference, as the prompt analyser takes it."""
    from curate.prompts.shift import Compared, sqrt_mmd

    draw = np.random.default_rng([seed, 2])
    some = draw.permutation(len(rows))[:REFERENCE]
    known = draw.permutation(len(ground.reference))[:REFERENCE]
    vectors = encode([rows[place].prompt for place in some])
    return sqrt_mmd(Compared(vectors, encode([ground.reference[place] for place in known]), seed)).value


def study(ground, kinds, options):
    """One point a student: kind, share, seed, on-domain tokens, divergence, errors."""
    from curate.prompts.embed import load_embedder

    encode = load_embedder("default").encode
    figures = Figures(options.points, {"study": "shift", **settings_of(ground, options)})
    points = []
    for seed in options.seeds:
        exam = Exam(ground, options.each, seed)
        mixes = [("", 0.0), *((kind, share) for kind in kinds for share in options.shares[1:])]
        mixes += [(ALONE, share) for share in options.shares if 0.5 <= share < 1]
        for kind, share in mixes:
            measure = functools.partial(measure_student, ground, exam, kind, share, seed, options, encode)
            points.append(figures.get(f"seed {seed}, {kind} {share:.0%}", measure))
    budgets = {point["answers"] for point in points if point["kind"] != ALONE}
    steps = {point["steps"] for point in points}
    if budgets != {options.tokens * options.epochs} or steps != {options.steps * options.epochs}:
        raise SystemExit(f"budgets differ: {budgets} answer tokens, {steps} steps")
    return points


def measure_student(ground, exam, kind, share, seed, options, encode):
    rows, on_tokens = choose_rows(ground, kind, share, options, seed)
    taught = teach(ground, rows, exam, seed, options)
    return {
        "kind": kind, "share": share, "seed": seed, "on": on_tokens,
        "mmd": divergence(ground, rows, encode, seed), "rows": len(rows),
        "answers": taught.answer_tokens, "read": taught.read_tokens, "steps": taught.steps,
        "wrong": balanced(taught.wrong, exam.domains, ground.domains),
        "kl": balanced(taught.kl, exam.domains, ground.domains),
    }  # fmt: skip


def pick(points, kind, share, name):
    """One figure of every seed; share 0 belongs to every kind."""
    wanted = ("", kind) if share == 0 else (kind,)
    return np.array([p[name] for p in points if p["kind"] in wanted and p["share"] == share])


def curves_table(points, kinds, options):
    rows = []
    for kind in kinds:
        for share in options.shares:
            names = ("mmd", "wrong", "kl")
            alone = pick(points, ALONE, share, "wrong")
            rows.append([
                kind, f"{share:.0%}", f"{options.tokens - round(share * options.tokens):,}",
                *(show(pick(points, kind, share, name)) for name in names), show(alone) if len(alone) else "–",
            ])  # fmt: skip
    head = ["off-domain prompts", "share", "on-domain tokens", "√MMD²", "error", "KL", "error, on-domain part alone"]
    return markdown(head, rows)


def shape_table(points, kinds):
    """How the first half of the way compares with the second, by seed."""
    rows = []
    for kind in kinds:
        for name, label in (("wrong", "error"), ("kl", "KL")):
            none, half, whole = (pick(points, kind, share, name) for share in (0.0, 0.5, 1.0))
            rows.append([kind, label, show(half - none), show(whole - half), show(half - (none + whole) / 2),
                         f"{np.mean(half - none) / np.mean(whole - none):.0%}"])  # fmt: skip
    head = ["off-domain prompts", "", "0 → 50 %", "50 → 100 %", "at 50 % less the straight line", "of the rise by 50 %"]
    return markdown(head, rows)


def cost_table(points, kinds, options):
    """What off-domain prompts add to the error of a student of the on-domain part alone, by seed."""
    shares = [share for share in options.shares if 0.5 <= share < 1]
    rows = [
        [kind, *(show(pick(points, kind, share, "wrong") - pick(points, ALONE, share, "wrong")) for share in shares)]
        for kind in kinds
    ]
    return markdown(["off-domain prompts", *(f"{share:.0%}" for share in shares)], rows)


def fit_table(points, kinds, name):
    """A row a formula, a column a kind of prompts."""
    columns = []
    for kind in (*kinds, EVERY):
        mine = [p for p in points if p["kind"] != ALONE and (kind == EVERY or p["kind"] in ("", kind))]
        found, spread = fits(mine, name), r2_intervals(mine, name)
        columns.append({form: f"{found[form]:.3f} ({spread[form][0]:.3f} – {spread[form][1]:.3f})" for form in found})
    rows = [[form, count, *(column[form] for column in columns)] for form, (count, _) in FORMULAS.items()]
    return markdown(["formula", "coefficients", *kinds, EVERY], rows)


def equal_table(points, options):
    rows = []
    for share in options.shares:
        mine = [p for p in points if p["share"] == share and p["kind"] != ALONE]
        spans = (f"{min(p[name] for p in mine):,} – {max(p[name] for p in mine):,}"
                 for name in ("answers", "steps", "rows", "read"))  # fmt: skip
        rows.append([f"{share:.0%}", *spans])
    return markdown(["share", "answer tokens", "steps", "different prompts", "tokens read, prompts too"], rows)


def report(ground, kinds, options, points):
    return "\n\n".join([
        f"By `{command('prompt_shift', options)}`; one thread.\n\n" + describe("torch", "transformers", "scipy"),
        describe_setting(ground, options),
        f"√MMD² by the default embedder between at most {REFERENCE:,} training prompts and as many of the reference.",
        "Error: share of held-out prompts of all ten domains whose greedy answer is not the teacher's, every domain "
        "with equal weight. KL: forward, nats an answer token.",
        curves_table(points, kinds, options),
        "## The shape\n\nDifferences between students of one seed.\n\n" + shape_table(points, kinds),
        "## What off-domain prompts do beside taking a place\n\nError less that of the student of the on-domain part "
        "alone, of the same seed and in as many steps.\n\n" + cost_table(points, kinds, options),
        "## Formulas\n\nR² of least squares over the students' errors, and the 95 % interval of it when seeds are "
        "drawn anew (1,000 bootstrap draws); c is the best of 51 from 1 to 100,000.\n\nError:\n\n"
        + fit_table(points, kinds, "wrong") + "\n\nKL:\n\n" + fit_table(points, kinds, "kl"),
        "## What was equal\n\nLeast and most over the students.\n\n" + equal_table(points, options),
    ])  # fmt: skip


def draw(points, kinds, options, path):
    rows = []
    for kind in (*kinds, ALONE):
        for share in options.shares:
            values = pick(points, kind, share, "wrong")
            if len(values):
                mean, half = t_interval(values)
                rows.append({"x": share, "y": mean, "low": mean - half, "high": mean + half, "line": kind})
    titles = {"x": "share of answer tokens from off-domain prompts", "y": "share of answers unlike the teacher's"}
    path.write_text(curve(rows, **titles))


def main():
    options = parse_options(__doc__, seeds=3, quick_seeds=2)
    options.shares = (0.0, 0.5, 0.9, 1.0) if options.quick else SHARES
    ground = load_ground("quick" if options.quick else "clinc")
    kinds = ("group 0",) if options.quick else KINDS
    points = study(ground, kinds, options)
    text = "# Prompt shift\n\n" + report(ground, kinds, options, points)
    if options.quick:
        print(text)
        return
    write_table("prompt_shift", text)
    draw(points, kinds, options, RESULTS / "prompt_shift.svg")


if __name__ == "__main__":
    main()
