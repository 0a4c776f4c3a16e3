"""What is measured of prompts and students: what each number is called, how it is spelt, what it says."""

from collections.abc import Callable

from curate.report.numbers import format_fixed, format_number, format_share

Spell = Callable[[float | None], str]

QUALITIES: dict[str, tuple[str, Spell]] = {
    "perplexity": ("perplexity", format_number),
    "kl_to_teacher": ("KL to teacher (nats)", format_fixed),
    "reverse_kl": ("reverse KL (nats)", format_fixed),
    "top1_agreement": ("top-1 agreement", format_share),
    "accuracy": ("accuracy", format_share),
}
"""Field of ``Quality`` to its label and spelling."""

SHARES = ("usable_share", "off_target_share", "prdc_precision", "prdc_coverage")
"""Metrics of prompts that are shares of rows."""

MEANS = {
    "vendi": "about so many unlike prompts",
    "cluster_entropy": "spread over the reference's topics, 1 like the reference",
    "reference_coverage": "how near the reference's rows find a prompt, 1 like among themselves",
    "mean_nn_similarity": "cosine to the nearest other prompt",
    "effective_rank": "independent directions the set uses",
    "distinct_2": "share of word pairs that are different",
    "compression_ratio": "greater is more repetitive",
    "mean_pairwise_distance": "how unlike two prompts are on average; blind to duplicates",
    "usable_share": "rows in which no row check finds a fault",
    "quality": "mean score of the rows' surface, 0 to 1",
    "sqrt_mmd": "0 like the reference",
    "off_target_share": "least share off the reference",
    "c2st_auc": "0.5 cannot be told apart, 1 always",
    "sqrt_energy": "0 like the reference",
    "frechet": "0 like the reference; never 0 in small samples",
    "prdc_precision": "prompts near some reference row",
    "prdc_coverage": "reference rows with a prompt near",
}
"""What a number means, in a few words."""


def label(name: str) -> str:
    """A measure as people read it; one of a domain keeps the domain before it."""
    domain, colon, plain = name.rpartition(": ")
    return f"{domain}{colon}{QUALITIES[plain][0] if plain in QUALITIES else plain.replace('_', ' ')}"


def spelling(name: str) -> Spell:
    """How a measure's values are written."""
    plain = name.rpartition(": ")[2]
    return QUALITIES[plain][1] if plain in QUALITIES else format_share if plain in SHARES else format_number


def meaning(name: str, note: str = "") -> str:
    """What a number says, and what was noted when it was taken."""
    told = MEANS.get(name, "")
    return "; ".join(part for part in (told, note) if part and (part is told or part not in told))
