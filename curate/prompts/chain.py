"""Chains of filters: which there are, which options they take, and whether one chain is as strict as another."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping

from curate.errors import PolicyError
from curate.policy import Option
from curate.prompts.contamination import contamination
from curate.prompts.domain import off_domain
from curate.prompts.duplicates import exact, near, semantic
from curate.prompts.injection import injection
from curate.prompts.language import language
from curate.prompts.privacy import pii
from curate.prompts.provenance import license as license_filter
from curate.prompts.quality import garbage, length
from curate.prompts.work import Gone

Chain = Mapping[str, Mapping[str, Option]]
FilterFunction = Callable[..., Iterable[Gone]]

FILTERS: dict[str, FilterFunction] = {
    "license": license_filter,
    "exact": exact,
    "length": length,
    "garbage": garbage,
    "language": language,
    "pii": pii,
    "injection": injection,
    "near": near,
    "contamination": contamination,
    "semantic": semantic,
    "off_domain": off_domain,
}
"""Every filter by name, cheapest first, which is the order they run in; options are their keyword-only arguments."""


def filter_options(name: str) -> dict[str, inspect.Parameter]:
    """The options of a filter: its keyword-only arguments."""
    found = inspect.signature(FILTERS[name], eval_str=False).parameters.values()
    return {one.name: one for one in found if one.kind is inspect.Parameter.KEYWORD_ONLY}


def check_chain(chain: Chain) -> dict[str, dict[str, Option]]:
    """The chain in the order of cost, every name and option known, every value of its option's type.

    Raises:
        PolicyError: an unknown filter, an unknown option, or a value of the wrong type.
    """
    for name, options in chain.items():
        if name not in FILTERS:
            raise PolicyError(f"no filter called {name!r}", hint=f"known: {', '.join(FILTERS)}")
        known = filter_options(name)
        kinds = typing.get_type_hints(FILTERS[name])
        for option, value in options.items():
            if option not in known:
                names = ", ".join(known) or "none"
                raise PolicyError(f"filter {name}: no option called {option!r}", hint=f"its options: {names}")
            if not fits(value, kinds[option]):
                raise PolicyError(f"filter {name}: {option}: {value!r} is not {describe(kinds[option])}")
    return {name: dict(chain[name]) for name in FILTERS if name in chain}


def fits(value: object, kind: object) -> bool:
    """Whether a value is of an option's type; a whole number does for a fraction, a truth value for neither."""
    if isinstance(kind, types.UnionType):
        return any(fits(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float)) if kind is float else isinstance(value, typing.cast("type", kind))


def describe(kind: object) -> str:
    """An option's type in words."""
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    return words.get(typing.cast("type", kind), "a list of texts")


LOOSER_WHEN_GREATER = {
    ("near", "jaccard_at_least"),
    ("semantic", "threshold"),
    ("contamination", "contained"),
    ("contamination", "jaccard_at_least"),
    ("contamination", "rephrased"),
    ("contamination", "rephrased_without_numbers"),
    ("length", "max_characters"),
    ("length", "max_words"),
    ("length", "max_tokens"),
    ("off_domain", "quantile"),
}
LOOSER_WHEN_LESS = {
    ("length", "min_characters"),
    ("length", "min_words"),
    ("semantic", "cells"),
    ("garbage", "min_quality"),
}
LOOSER_WHEN_TRUE = {("near", "number_guard"), ("near", "wording"), ("semantic", "number_guard")}
LOOSER_WHEN_FALSE = {
    ("contamination", "reference"),
    ("garbage", "unfilled_slots"),
    ("garbage", "template_code"),
    ("license", "conflicts"),
}


def covers(chain: Chain, policy_chain: Chain) -> bool:
    """Whether a chain has every filter of the policy's, each at least as strict."""
    return all(
        name in chain
        and not any(is_looser(name, option, chain[name], policy_chain[name]) for option in filter_options(name))
        for name in policy_chain
    )


def is_looser(name: str, option: str, mine: Mapping[str, Option], theirs: Mapping[str, Option]) -> bool:
    """Whether an option lets more through than the policy's; an option without a direction may not differ at all."""
    default = filter_options(name)[option].default
    one, other = mine.get(option, default), theirs.get(option, default)
    if one == other:
        return False
    if (name, option) in LOOSER_WHEN_GREATER:
        if option == "max_tokens":
            return bool(other) and (not one or one > other)
        return bool(one > other)
    if (name, option) in LOOSER_WHEN_LESS:
        return bool(one < other)
    if (name, option) in LOOSER_WHEN_TRUE:
        return bool(one)
    if (name, option) in LOOSER_WHEN_FALSE:
        return not one
    return True


def tighten(policy_chain: Chain, extra: Chain) -> dict[str, dict[str, Option]]:
    """The policy's chain with the extra filters and options of a run file laid over it.

    Raises:
        PolicyError: the extra would let more through than the policy does.
    """
    merged = {name: dict(options) for name, options in policy_chain.items()}
    for name, options in extra.items():
        merged.setdefault(name, {}).update(options)
    checked = check_chain(merged)
    for name in policy_chain:
        for option in checked[name]:
            if is_looser(name, option, checked[name], policy_chain[name]):
                raise PolicyError(
                    f"filters: {name}: {option}: {checked[name][option]!r} is looser than the policy",
                    hint="a run may only tighten; edit the policy to loosen",
                )
    return checked
