"""What a model was made from, walked through cards within limits: base models, adapters, merges and data sets."""

from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from curate.licenses.card import Claim, ModelCard, Parent, parse_card
from curate.licenses.decision import LineageLink
from curate.licenses.facts import Catalogue, Known, LicenseFacts
from curate.licenses.names import ModelRef
from curate.licenses.sources import CardSource

MAX_DEPTH = 64
MAX_MEMBERS = 256
MAX_PARENTS = 64


@dataclass
class Member:
    """One model or data set of a chain, with whatever could be found out about it."""

    ref: ModelRef
    card: ModelCard | None = None
    known: tuple[Known, ...] = ()
    hosted: tuple[LicenseFacts, ...] = ()
    """Terms that bind whoever calls a hosted route."""
    depth: int = 0
    via: Claim | None = None
    """The claim of the child that named it."""
    child: str = ""
    unnamed: list[Claim] = field(default_factory=list)
    """Parents it claims that are no ids."""

    @property
    def is_root(self) -> bool:
        """Whether it is what was asked about."""
        return self.depth == 0

    @property
    def status(self) -> Literal["read", "known", "missing"]:
        """read, known or missing."""
        return "read" if self.card is not None else "known" if self.known or self.hosted else "missing"


@dataclass
class Chain:
    """The root and everything found behind it, in the order it was found."""

    members: dict[str, Member] = field(default_factory=dict)
    links: list[LineageLink] = field(default_factory=list)
    cuts: list[tuple[str, str]] = field(default_factory=list)
    """Where the walk stopped short: the member and why."""

    @property
    def root(self) -> Member:
        """What was asked about."""
        return next(iter(self.members.values()))

    def parents(self, member: Member) -> list[Member]:
        """The model members that a member was made from, one step up."""
        keys = [link.parent for link in self.links if link.child == str(member.ref) and link.relation != "dataset"]
        return [one for one in self.members.values() if str(one.ref) in keys]


def trace_chain(root: ModelRef, source: CardSource, catalogue: Catalogue) -> Chain:
    """Walk the lineage breadth first; limits, cycles and parents that are no ids are kept as cuts, never ignored."""
    chain = Chain()
    chain.members[root.key] = look_at(root, source, catalogue)
    ancestors: dict[str, frozenset[str]] = {root.key: frozenset({root.key})}
    queue = deque([chain.root])
    while queue:
        member = queue.popleft()
        if member.card is None:
            continue
        for parent in _follow(member, chain, ancestors):
            if parent.ref is None:
                continue
            found = look_at(parent.ref, source, catalogue)
            if found.status == "missing" and not parent.certain:
                continue
            chain.links.append(LineageLink(child=str(member.ref), parent=str(parent.ref), relation=parent.relation))
            found.depth, found.via, found.child = member.depth + 1, parent.claim, str(member.ref)
            chain.members[found.ref.key] = found
            ancestors[found.ref.key] = ancestors[member.ref.key] | {found.ref.key}
            queue.append(found)
    return chain


def _follow(member: Member, chain: Chain, ancestors: dict[str, frozenset[str]]) -> list[Parent]:
    """The parents of a member that are still to be looked at; links to members met before and cuts are written here."""
    fresh: dict[str, Parent] = {}
    parents = member.card.parents if member.card is not None else []
    if len(parents) > MAX_PARENTS:
        chain.cuts.append((str(member.ref), f"names {len(parents)} parents; {MAX_PARENTS} were looked at"))
    for parent in parents[:MAX_PARENTS]:
        ref = parent.ref
        if ref is None:
            member.unnamed.extend([] if parent.relation == "dataset" else [parent.claim])
        elif ref.key in ancestors[member.ref.key]:
            if parent.certain:
                chain.cuts.append((str(member.ref), f"names {ref} as its parent, which comes from it in turn"))
        elif ref.key in chain.members:
            link = LineageLink(child=str(member.ref), parent=str(ref), relation=parent.relation)
            chain.links.extend([link] if link not in chain.links else [])
        elif member.depth + 1 > MAX_DEPTH or len(chain.members) + len(fresh) >= MAX_MEMBERS:
            chain.cuts.append((str(member.ref), f"goes on beyond {MAX_DEPTH} steps or {MAX_MEMBERS} members"))
            break
        else:
            fresh.setdefault(ref.key, parent)
    return list(fresh.values())


def look_at(ref: ModelRef, source: CardSource, catalogue: Catalogue) -> Member:
    """One member: its card where a source has it, and what the catalogue knows of it."""
    if ref.kind == "api":
        provider, _, model = ref.name.partition("/")
        terms = catalogue.hosted["providers"].get(provider.lower())
        return Member(
            ref,
            known=catalogue.lookup("models", model) if model and provider.lower() != "openai" else (),
            hosted=(catalogue.licenses[terms],) if terms else (),
        )
    name = f"./{Path(ref.name).name}" if ref.folder else ref.name
    known = catalogue.lookup("datasets" if ref.kind == "dataset" else "models", name)
    raw = source.fetch(ref)
    return Member(ref, parse_card(ref, raw) if raw is not None else None, known)
