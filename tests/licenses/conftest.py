"""A source over cards written in the test itself."""

from datetime import date

import pytest
import yaml

from curate.licenses.card import RawCard
from curate.licenses.check import check_license
from curate.licenses.decision import Case
from curate.licenses.sources import FirstOf, ModelFolder
from curate.policy import load_policy

TODAY = date(2026, 11, 26)


class Cards:
    """Cards by lower-case id; text, bytes, or a mapping for the front matter."""

    def __init__(self, cards, files=None):
        self.files = {name.lower(): texts for name, texts in (files or {}).items()}
        self.cards = {name.lower(): self.content(card) for name, card in cards.items()}

    @staticmethod
    def content(card):
        if isinstance(card, dict):
            card = f"---\n{yaml.safe_dump(card)}---\n# a model\n" if card else "# a model\n"
        return card if isinstance(card, bytes) else card.encode()

    def fetch(self, ref):
        content = self.cards.get(str(ref).lower())
        return (
            None
            if content is None or ref.folder
            else RawCard(f"{ref.kind}s/README.md", content, files=self.files.get(str(ref).lower(), {}))
        )


@pytest.fixture
def judge():
    """Judge a ref among cards under a policy and a case."""

    def run(ref, cards=None, *, files=None, policy="default", today=TODAY, **case):
        loaded = load_policy(policy) if isinstance(policy, str) else policy
        source = FirstOf([ModelFolder(), Cards(cards or {}, files)])
        return check_license(ref, policy=loaded, source=source, case=Case(**case), today=today)

    return run
