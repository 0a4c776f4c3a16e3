"""Does a narrow prompt set make a narrow student? Students taught on 1, 2, 5 and 10 domains at equal tokens.

    CURATE_CORPUS=<folder> python bench/narrow_students.py    CLINC150; writes results/narrow_students.md and .svg
    python bench/narrow_students.py --quick                   what ships with curate, fewer students; writes nothing

Every student of a seed starts from the same weights, learns as many answer tokens in as many steps, and is examined on
the same held-out prompts, as many of each intent of all ten domains.
"""

import functools
import itertools

import numpy as np
from grounds import load_ground
from machine import RESULTS, describe, markdown, write_table
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

NUMBERS = (1, 2, 5, 10)


def choose_domains(domains, number, seed):
    """So many domains; five seeds in a row take each domain once at two, and each ten seeds shuffle anew."""
    order = np.random.default_rng(seed // 5).permutation(len(domains))
    first = 2 * (seed % 5)
    return [domains[order[(first + step) % len(domains)]] for step in range(number)]


def choose_rows(ground, chosen, tokens, seed):
    """Prompts of these domains, an equal share of the answer tokens from each."""
    lengths = {row.id: len(ground.examples[row.id].answer) for row in ground.pool}
    shares = [len(part) for part in np.array_split(np.arange(tokens), len(chosen))]
    rows = []
    for name, share in zip(chosen, shares, strict=True):
        mine = [row for row in ground.pool if row.domain == name]
        order = np.random.default_rng([seed, share]).permutation(len(mine))
        rows += fill_exactly([mine[place] for place in order], lengths, share)
    return rows


def examine(exam, taught, chosen):
    """What is told of one student: error on all domains, on those it was taught, on the others; coverage."""
    domains = sorted(set(exam.domains))
    others = [name for name in domains if name not in chosen]
    by_domain = {name: taught.wrong[exam.domains == name].mean() for name in domains}
    right = [1 - taught.wrong[exam.intents == name].mean() for name in sorted(set(exam.intents))]
    return {
        "wrong": balanced(taught.wrong, exam.domains, domains),
        "wrong taught": balanced(taught.wrong, exam.domains, chosen),
        "wrong others": balanced(taught.wrong, exam.domains, others),
        "kl": balanced(taught.kl, exam.domains, domains),
        "kl taught": balanced(taught.kl, exam.domains, chosen),
        "kl others": balanced(taught.kl, exam.domains, others),
        "intents": float(np.mean([share >= 0.5 for share in right])),
        "domains": float(np.mean([wrong <= 0.5 for wrong in by_domain.values()])),
        "by domain": [float(wrong) for wrong in by_domain.values()],
        "rows": taught.rows, "answers": taught.answer_tokens, "read": taught.read_tokens, "steps": taught.steps,
    }  # fmt: skip


def study(ground, options):
    """Every student's figures, by number of domains; 0 is the student before it learns."""
    figures = Figures(options.points, {"study": "narrow", **settings_of(ground, options)})
    found = {number: [] for number in (0, *NUMBERS)}
    for seed in options.seeds:
        exam = Exam(ground, options.each, seed)
        for number in found:
            chosen = choose_domains(ground.domains, number, seed)
            measure = functools.partial(measure_student, ground, exam, chosen, seed, options)
            found[number].append(figures.get(f"seed {seed}, {number} domains", measure))
            before, after = (np.array(found[which][-1]["by domain"]) for which in (0, number))
            found[number][-1]["better"] = float(np.mean(after < before))
    budgets = {kept["answers"] for number in NUMBERS for kept in found[number]}
    steps = {kept["steps"] for number in NUMBERS for kept in found[number]}
    if budgets != {options.tokens * options.epochs} or steps != {options.steps * options.epochs}:
        raise SystemExit(f"budgets differ: {budgets} answer tokens, {steps} steps")
    return found


def measure_student(ground, exam, chosen, seed, options):
    rows = choose_rows(ground, chosen, options.tokens, seed) if chosen else []
    return examine(exam, teach(ground, rows, exam, seed, options), chosen)


def column(found, number, name):
    return [kept[name] for kept in found[number]]


def report(ground, options, found):
    """The page: what was held equal, the table, paired differences, what it says."""
    head = ["domains", "error", "on those taught", "on the others", "KL", "KL taught", "KL others",
            "intents covered", "domains covered", "domains better than at the start"]  # fmt: skip
    names = ["wrong", "wrong taught", "wrong others", "kl", "kl taught", "kl others", "intents", "domains", "better"]
    table = [[number or "0 (start)", *(show(column(found, number, name)) for name in names)] for number in found]
    equal = [
        [number, *(f"{min(column(found, number, name)):,} – {max(column(found, number, name)):,}"
                   for name in ("answers", "steps", "rows", "read"))]
        for number in NUMBERS
    ]  # fmt: skip
    steps = [
        [f"{few} → {many}", *(show(np.subtract(column(found, many, name), column(found, few, name)))
                              for name in ("wrong", "kl", "intents"))]
        for few, many in itertools.pairwise(NUMBERS)
    ]  # fmt: skip
    return "\n\n".join([
        f"By `{command('narrow_students', options)}`; one thread.\n\n" + describe("torch", "transformers", "scipy"),
        describe_setting(ground, options),
        "Error: share of held-out prompts whose greedy answer is not the teacher's, every domain with equal weight. "
        "KL: forward, nats an answer token. An intent, or a domain, is covered where the student answers at least half "
        "of its held-out prompts as the teacher does.",
        markdown(head, table),
        "## What was equal\n\nLeast and most over the students. Answer tokens are what the losses see.",
        markdown(["domains", "answer tokens", "steps", "different prompts", "tokens read, prompts too"], equal),
        "## Adding domains at equal tokens\n\nDifferences between students of one seed.",
        markdown(["domains", "error", "KL", "intents covered"], steps),
    ])  # fmt: skip


def draw(found, path):
    rows = []
    labels = {"wrong": "all ten domains", "wrong taught": "domains taught", "wrong others": "the others"}
    for number in NUMBERS:
        for name, label in labels.items():
            mean, half = t_interval(column(found, number, name))
            if not np.isnan(mean):
                rows.append({"x": number, "y": mean, "low": mean - half, "high": mean + half, "line": label})
    path.write_text(curve(rows, x="domains taught, at equal tokens", y="share of answers unlike the teacher's"))


def main():
    options = parse_options(__doc__, seeds=5, quick_seeds=2)
    ground = load_ground("quick" if options.quick else "clinc")
    found = study(ground, options)
    text = "# Narrow students\n\n" + report(ground, options, found)
    if options.quick:
        print(text)
        return
    write_table("narrow_students", text)
    draw(found, RESULTS / "narrow_students.svg")


if __name__ == "__main__":
    main()
