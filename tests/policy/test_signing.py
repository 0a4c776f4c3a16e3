from datetime import date
from pathlib import Path

import pytest

from curate.errors import PolicyError
from curate.policy import Waiver, load_policy, policies_folder, policy_names, read_policy
from curate.policy.signing import add_waiver

WAIVER = Waiver(
    rule="missing-license",
    subject="owner/*",
    reason='asked the owner: "MIT", # and more – mail of 2 May',
    signed_by="Ada Example",
    signed_on=date(2026, 11, 1),
    until=date(2027, 4, 30),
    finding_sha256="0" * 64,
)
BEFORE = """\
# Our rules.
description: ours   # kept
licenses:
  by_kind: {permissive: allow}   # nothing else
"""
ONE = """\
- rule: other
  subject: a/b
  reason: >-
    looked at by
    the board
  signed_by: B
  signed_on: 2026-01-01
  until: 2027-01-01   # renew
"""
FLOW = "[{rule: other, subject: a/b, reason: looked at by B, signed_by: B, signed_on: 2026-01-01, until: 2027-01-01}"
FORMS = {
    "no key": BEFORE,
    "no key, no newline": BEFORE.rstrip("\n"),
    "empty list": BEFORE + "waivers: []   # none yet\n",
    "empty list in the middle": "waivers: []\n" + BEFORE,
    "a list": BEFORE + "waivers:\n" + ONE,
    "a list in the middle": "waivers:\n" + ONE + "# what follows is the rest\n" + BEFORE,
    "an indented list": BEFORE + "waivers:\n" + "".join(f"    {line}\n" for line in ONE.splitlines()),
    "a list without a last newline": BEFORE + "waivers:\n" + ONE.rstrip("\n"),
    "brackets": BEFORE + f"waivers: {FLOW}]\n",
    "brackets with a comma": "waivers: " + FLOW + ",]  # one\n" + BEFORE,
    "windows": (BEFORE + "waivers:\n" + ONE).replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + BEFORE + "waivers: []\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_waiver_is_added_and_every_line_of_the_file_stays(tmp_path, form):
    path = tmp_path / "ours.yaml"
    path.write_bytes(FORMS[form].encode())
    before = read_policy(path)
    after = add_waiver(path, WAIVER)
    assert after == read_policy(path)
    assert after.waivers == (*before.waivers, WAIVER)
    text = path.read_bytes().decode()
    for comment in [part for part in FORMS[form].split("#")[1:]]:
        assert comment.splitlines()[0] in text
    assert ("\r\n" in text) == (form == "windows")
    if form == "windows":
        assert text.count("\n") == text.count("\r\n")
    add_waiver(path, WAIVER)
    assert len(read_policy(path).waivers) == len(before.waivers) + 2


def test_a_list_into_which_nothing_can_be_added_safely_is_left_as_it_is(tmp_path):
    path = tmp_path / "ours.yaml"
    path.write_text("waivers: " + FLOW + ",\n  # comment\n  ]\n" + BEFORE)
    before = path.read_bytes()
    with pytest.raises(PolicyError):
        add_waiver(path, WAIVER)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", policy_names())
def test_a_shipped_policy_is_never_written_into_but_a_copy_of_it_is(tmp_path, name):
    for place in (policies_folder() / f"{name}.yaml", Path(name)):
        with pytest.raises(PolicyError, match="shipped"):
            add_waiver(place, WAIVER)
    copy = tmp_path / "ours.yaml"
    copy.write_bytes((policies_folder() / f"{name}.yaml").read_bytes())
    assert add_waiver(copy, WAIVER).waivers == (*load_policy(name).waivers, WAIVER)


def test_a_waiver_of_a_finding_covers_that_finding_alone():
    from curate.gate import Evidence, Finding, Verdict

    found = Finding(rule="missing-license", subject="owner/model", verdict=Verdict.REVIEW, message="none")
    bound = WAIVER.model_copy(update={"finding_sha256": found.sha256()})
    day = date(2026, 12, 1)
    assert bound.covers(found, day)
    assert bound.covers(found.model_copy(update={"waived_by": "whoever"}), day)
    for change in (
        {"message": "none at all"},
        {"verdict": Verdict.DENY},
        {"evidence": (Evidence(source="README.md", quote="license: other"),)},
        {"subject": "owner/other"},
    ):
        assert not bound.covers(found.model_copy(update=change), day)
