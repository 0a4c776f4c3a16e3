"""CLINC150 out-of-scope AUROC of the embedders, √MMD² against a growing share of another task, false alarms, selection.

    CURATE_CORPUS=<folder> python bench/clinc.py [--plain FOLDER] [--without minilm]

``--plain`` is a static embedder of the same size and teacher that was not taught on prompts: the output of
``recipes/static_embedder/distil.py``.
"""

import argparse

import numpy as np
from corpora import read_set
from machine import describe, markdown, write_table

DRAWS = 200


def load_clinc():
    """In-scope training prompts, in-scope and out-of-scope test prompts."""
    rows = read_set("clinc150")
    known = [row["prompt"] for row in rows if row["split"] == "train" and not row["oos"]]
    tried = [row for row in rows if row["split"] == "test"]
    return known, [r["prompt"] for r in tried if not r["oos"]], [r["prompt"] for r in tried if r["oos"]]


def auroc(known, inside, outside, k=5):
    """Area under the curve of the mean cosine to the k nearest known rows."""
    from sklearn.metrics import roc_auc_score

    from curate.prompts.domain import domain_scores

    scores = np.concatenate([domain_scores(inside, known, k), domain_scores(outside, known, k)])
    return float(roc_auc_score([1] * len(inside) + [0] * len(outside), scores))


def out_of_scope(specs):
    from curate.errors import CurateError
    from curate.prompts.embed import load_embedder

    known, inside, outside = load_clinc()
    rows = []
    for label, spec in specs:
        try:
            embedder = load_embedder(spec)
        except CurateError as error:
            rows.append([label, "absent", str(error).splitlines()[0][:80], ""])
            continue
        score = auroc(*(embedder.encode(texts) for texts in (known, inside, outside)))
        rows.append([label, f"{score:.4f}", embedder.ref.sha256[:12], embedder.ref.dimensions])
    head = f"{len(known):,} reference rows, {len(inside):,} in scope, {len(outside):,} out of scope, k = 5"
    return f"## Out of scope\n\n{head}\n\n" + markdown(["embedder", "AUROC", "sha256", "dimensions"], rows)


def shift_linearity(encode):
    from curate.prompts.shift import Compared, median_distance, rbf_kernel, root, sqrt_mmd

    inside = encode([row["prompt"] for row in read_set("clinc150") if not row["oos"]])
    shares = np.linspace(0, 1, 9)
    rows = []
    for name in ("banking77", "gsm8k"):
        other = encode([row["prompt"] for row in read_set(name)])
        found, with_floor = [], []
        for seed in range(6):
            draw = np.random.default_rng(seed)
            order = draw.permutation(len(inside))
            away = draw.permutation(len(other))
            values, biased = [], []
            reference = inside[order[:1000]]
            for share in shares:
                count = round(1000 * share)
                mixed = np.concatenate([inside[order[1000 : 2000 - count]], other[away[:count]]])
                values.append(sqrt_mmd(Compared(mixed, reference, seed)).value)
                kernel = rbf_kernel(np.concatenate([mixed, reference]), median_distance(reference))
                biased.append(
                    root(kernel[:1000, :1000].mean() + kernel[1000:, 1000:].mean() - 2 * kernel[:1000, 1000:].mean())
                )
            found.append(np.corrcoef(shares, values)[0, 1] ** 2)
            with_floor.append(np.corrcoef(shares, biased)[0, 1] ** 2)
        holds = "holds" if min(found) >= 0.99 else "does not hold"
        rows.append([name, *(f"{value:.4f}" for value in found), holds, f"{min(with_floor):.4f}"])
    head = ["mixed in", *(f"seed {seed}" for seed in range(6)), "bar 0.99", "worst of the V-statistic"]
    return (
        "## √MMD² against the share of another task\n\nNine shares from 0 to 1, 1,000 rows a side, R² for six seeds\n\n"
        + markdown(head, rows)
    )


def false_alarms(encode):
    from curate.prompts.shift import Compared, permutation_p, sqrt_mmd

    inside = encode([row["prompt"] for row in read_set("clinc150") if not row["oos"]])
    lines = []
    for rows in (100, 200, 400):
        alarms = []
        for seed in range(5 * DRAWS if rows == 200 else DRAWS):
            order = np.random.default_rng(seed + 50_000).permutation(len(inside))
            seen = Compared(inside[order[:rows]], inside[order[rows : 2 * rows]], seed)
            alarms.append(permutation_p(sqrt_mmd(seen)) < 0.05)
        share = float(np.mean(alarms[:DRAWS]))
        holds = "holds" if 0.02 <= share <= 0.08 else "does not hold"
        more = f"{np.mean(alarms):.1%} of {len(alarms)}" if len(alarms) > DRAWS else ""
        lines.append([rows, f"{share:.1%}", holds, more])
    head = ["rows a side", f"p < 0.05 in {DRAWS} null draws", "bar 2 to 8 %", "in more draws"]
    return "## False alarms\n\n" + markdown(head, lines)


def skewed_pool(rows, seed):
    """About 1,600 rows, the frequency of an intent falling with its rank, so that 300 random ones touch few of 150."""
    draw = np.random.default_rng(seed)
    intents = sorted({row["intent"] for row in rows})
    weights = 1.0 / (1 + np.arange(len(intents)))
    scale = max(size for size in range(1, 1000) if skewed_counts(weights, size).sum() <= 1600)
    chosen = []
    for place, count in zip(draw.permutation(len(intents)), skewed_counts(weights, scale), strict=True):
        mine = [number for number, row in enumerate(rows) if row["intent"] == intents[place]]
        chosen += draw.permutation(mine)[:count].tolist()
    return chosen


def skewed_counts(weights, scale):
    return np.minimum(100, np.maximum(2, np.round(scale * weights))).astype(int)


def selection(encode):
    from curate.prompts.importance import importance_order
    from curate.prompts.neighbors import find_centers, top_neighbors
    from curate.prompts.select import select_rows

    everything = read_set("clinc150")
    rows = [row for row in everything if row["split"] == "train" and not row["oos"]]
    target = [row["prompt"] for row in everything if row["split"] == "val" and not row["oos"]][:500]
    lines = []
    for seed in range(3):
        pool = skewed_pool(rows, seed)
        texts = [rows[number]["prompt"] for number in pool]
        vectors, reference = encode(texts), encode(target)
        intents = np.array([rows[number]["intent"] for number in pool])

        def touched(chosen, intents=intents):
            return len(set(intents[list(chosen)].tolist()))

        chances = [np.random.default_rng(s).choice(len(pool), 300, replace=False) for s in range(20)]
        by_chance = np.mean([touched(one) for one in chances])
        centers = find_centers(vectors, 17, seed=seed)
        clusters = [str(one) for one in top_neighbors(vectors, centers, 1)[1][:, 0].tolist()]
        mine = touched(select_rows(vectors, 300, seed=seed))
        others = [
            touched(select_rows(vectors, 300, reference=reference, seed=seed)),
            touched(select_rows(vectors, 300, groups=clusters, seed=seed)),
            touched(importance_order(texts, target, seed=seed)[:300]),
        ]
        holds = "holds" if mine >= by_chance + 15 else "does not hold"
        lines.append([seed, len(pool), f"{by_chance:.1f}", mine, f"{mine - by_chance:+.1f}", holds, *others])
    head = ["seed", "pool rows", "random (mean of 20)", "coverage", "more", "bar +15"]
    head += ["coverage, reference of 500", "coverage, quota by cluster", "importance (DSIR)"]
    return "## Intents of 150 touched by 300 rows of a skewed pool\n\n" + markdown(head, lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--plain", help="folder of an untaught static embedder")
    parser.add_argument("--without", action="append", default=[])
    given = parser.parse_args()
    from curate.prompts.embed import load_embedder

    encode = load_embedder("default").encode
    specs = [("default (embedded)", "default"), ("minilm", "minilm")]
    specs = [one for one in specs if one[0] not in given.without]
    specs += [("plain model2vec, same teacher and size", given.plain)] if given.plain else []
    parts = [out_of_scope(specs), shift_linearity(encode), false_alarms(encode), selection(encode)]
    about = describe("scikit-learn", "sentence-transformers", "torch")
    write_table("clinc", "# CLINC150\n\n" + about + "\n\n" + "\n\n".join(parts))


if __name__ == "__main__":
    main()
