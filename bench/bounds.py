"""Where the default policy's bounds come from, what a small reference costs, and what some metrics are blind to.

CURATE_CORPUS=<folder> python bench/bounds.py
"""

import numpy as np
from corpora import read_set
from machine import describe, markdown, write_table

from curate.prompts.diversity import METRICS, Seen
from curate.prompts.domain import domain_scores, held_out_scores
from curate.prompts.embed import load_embedder
from curate.prompts.shift import DISTANCES, Compared, permutation_p, sqrt_mmd

BOUNDED = ("vendi", "cluster_entropy", "reference_coverage", "mean_nn_similarity", "sqrt_mmd", "off_target_share")
SIZES = (100, 150, 300, 1000)
DRAWS = 10


def measure(name, vectors, reference, seed):
    if name in METRICS:
        return METRICS[name](Seen(vectors, reference=reference, seed=seed)).value
    return DISTANCES[name](Compared(vectors, reference, seed)).value


def split(rows, vectors, seed, reference_rows):
    """A reference, and what is left, in a drawn order."""
    order = np.random.default_rng(seed).permutation(len(rows))
    return vectors[order[:reference_rows]], order[reference_rows:]


def bounds(rows, vectors, far):
    """Range of each bounded metric for a broad set, single domains and another task."""
    domains = np.array([row["domain"] for row in rows])
    found = {(name, kind, size): [] for name in BOUNDED for kind in ("broad", "one domain", "far") for size in SIZES}
    for size in SIZES:
        for seed in range(DRAWS):
            reference, rest = split(rows, vectors, seed, size)
            draw = np.random.default_rng(seed + 1000)
            sets = {"broad": vectors[rest[:size]], "far": far[draw.permutation(len(far))[:size]]}
            one = sorted(set(domains.tolist()))[seed % 10]
            sets["one domain"] = vectors[[row for row in rest.tolist() if domains[row] == one][:size]]
            for kind, chosen in sets.items():
                for name in BOUNDED:
                    found[name, kind, size].append(measure(name, chosen, reference, seed))
    lines = []
    for name in BOUNDED:
        for size in SIZES:
            cells = (found[name, kind, size] for kind in ("broad", "one domain", "far"))
            lines.append([name, size, *(f"{min(cell):.3f} – {max(cell):.3f}" for cell in cells)])
    head = ["metric", "rows a side", "broad", "one domain of ten", "far (GSM8K)"]
    return f"## Bounds\n\n{DRAWS} draws each\n\n" + markdown(head, lines)


def small_reference(rows, vectors, outside):
    """What a small reference costs: width of an interval, false alarms, rows dropped wrongly, out-of-scope AUROC."""
    from sklearn.metrics import roc_auc_score

    lines = []
    for size in (30, 50, 100, 200, 300, 500, 1000):
        widths, too_far, dropped, areas, alarms = [], 0, [], [], 0
        for seed in range(40):
            reference, rest = split(rows, vectors, seed, size)
            inside = vectors[rest[:1000]]
            metric = sqrt_mmd(Compared(inside, reference, seed + 10_000))
            widths.append(metric.high - metric.low)
            too_far += metric.value > 0.13
            alarms += permutation_p(metric) < 0.05
            threshold = np.quantile(held_out_scores(reference, 5), 0.1)
            scores = domain_scores(inside, reference, 5)
            dropped.append(float((scores < threshold).mean()))
            others = domain_scores(outside, reference, 5)
            areas.append(roc_auc_score([1] * len(scores) + [0] * len(others), np.concatenate([scores, others])))
        share = f"{np.mean(dropped):.1%} ({np.min(dropped):.1%} – {np.max(dropped):.1%})"
        lines.append(
            [
                size,
                f"{np.mean(widths):.3f}",
                f"{too_far / 40:.1%}",
                f"{alarms / 40:.1%}",
                share,
                f"{np.mean(areas):.3f}",
            ]
        )
    head = [
        "reference rows",
        "width of √MMD² interval",
        "over the bound 0.13",
        "p < 0.05",
        "on-topic rows under the 10 % mark",
        "AUROC",
    ]
    return "## A small reference\n\nOn-topic sets of 1,000 rows, 40 draws\n\n" + markdown(head, lines)


def blindness(rows, vectors, far):
    """Mean pairwise distance against duplicates; Vendi, precision and coverage against off-topic text."""
    lines = []
    reference, rest = split(rows, vectors, 0, 1000)
    mine = vectors[rest[:1000]]
    for share in (0.0, 0.25, 0.5, 0.75, 0.9, 1.0):
        count = round(1000 * share)
        copied = (
            np.concatenate([mine[count:], mine[np.arange(count) % 20]]) if share < 1 else mine[np.arange(1000) % 20]
        )
        mixed = np.concatenate([mine[count:], far[:count]])
        both = [Seen(copied, reference=reference), Seen(mixed, reference=reference)]
        compared = Compared(mixed, reference)
        lines.append(
            [
                f"{share:.0%}",
                *(
                    f"{METRICS[name](both[0]).value:.3f}"
                    for name in ("mean_pairwise_distance", "vendi", "mean_nn_similarity")
                ),
                *(f"{METRICS[name](both[1]).value:.3f}" for name in ("vendi", "effective_rank")),
                *(f"{DISTANCES[name](compared).value:.3f}" for name in ("prdc_precision", "prdc_coverage", "sqrt_mmd")),
            ]
        )
    head = [
        "share",
        "copies: mean_pairwise_distance",
        "vendi",
        "mean_nn_similarity",
        "off-topic: vendi",
        "effective_rank",
        "prdc_precision",
        "prdc_coverage",
        "sqrt_mmd",
    ]
    return "## Blindness\n\nCopies of 20 rows, or GSM8K, in 1,000 rows of CLINC150\n\n" + markdown(head, lines)


def main():
    encode = load_embedder("default").encode
    everything = read_set("clinc150")
    rows = [row for row in everything if not row["oos"]]
    vectors = encode([row["prompt"] for row in rows])
    outside = encode([row["prompt"] for row in everything if row["oos"]][:1000])
    far = encode([row["prompt"] for row in read_set("gsm8k")])
    parts = [bounds(rows, vectors, far), small_reference(rows, vectors, outside), blindness(rows, vectors, far)]
    write_table("prompt_bounds", "# Bounds and blindness\n\n" + describe("scikit-learn") + "\n\n" + "\n\n".join(parts))


if __name__ == "__main__":
    main()
