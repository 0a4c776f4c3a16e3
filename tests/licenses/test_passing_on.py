"""Publishers' license texts that go with a student: byte for byte, and no duty is called done that is not."""

import hashlib
from pathlib import Path

import pytest

from curate.licenses.check import check_license
from curate.licenses.decision import Case
from curate.licenses.facts import load_catalogue
from curate.licenses.hub_cache import HubCache
from curate.licenses.names import ModelRef
from curate.licenses.passing_on import pass_on
from curate.licenses.sources import MAX_BESIDE_BYTES, MAX_ORIGINALS, CardFolder, FirstOf, ModelFolder
from curate.policy import load_policy
from curate.runs.kept_cards import KeptCards
from tests.licenses.conftest import TODAY

APACHE = (Path(__file__).parents[2] / "LICENSE").read_bytes()
DUTY = "Apache License 2.0: ship the license text"
NOTICE_DUTY = "Apache License 2.0: ship a NOTICE text or the sentence the license prescribes"
CARD = "---\nlicense: apache-2.0\n---\n# a model\n"
CHILD = "---\nlicense: apache-2.0\nbase_model: a/base\n---\n# a child\n"


def lay(folder, name, card=CARD, **files):
    """A model in a folder of cards; file names with ``__`` for a dot."""
    place = folder / "models" / name.replace("/", "__")
    place.mkdir(parents=True)
    (place / "README.md").write_text(card)
    for file, content in files.items():
        (place / file.replace("__", ".")).write_bytes(content)
    return place


def passed(source, ref, **case):
    """What of the cards that the gate read goes with the student."""
    kept = KeptCards(source)
    decision = check_license(ref, policy=load_policy("default"), source=kept, case=Case(**case), today=TODAY)
    return pass_on(kept.read.values(), decision, load_catalogue())


def duty_of(texts, sentence=DUTY):
    (found,) = [one for one in texts.duties if one.text == sentence]
    return found


def test_a_license_beside_the_card_is_passed_on_byte_for_byte_and_keeps_its_duty(tmp_path):
    lay(tmp_path, "a/one", LICENSE=APACHE)
    texts, contents = passed(CardFolder(tmp_path), "a/one")
    assert contents == {"licenses/a__one-LICENSE": APACHE}
    (text,) = texts.texts
    assert (text.sha256, text.license, text.subject) == (hashlib.sha256(APACHE).hexdigest(), "apache-2.0", "a/one")
    assert duty_of(texts).kept
    assert texts.told(DUTY) == f"{DUTY} – done: licenses/a__one-LICENSE"


def test_bytes_that_are_no_utf8_are_passed_on_as_they_are(tmp_path):
    odd = b"Copyright 2020 J\xfcrgen\r\n" + APACHE
    lay(tmp_path, "a/one", LICENSE=odd)
    assert passed(CardFolder(tmp_path), "a/one")[1]["licenses/a__one-LICENSE"] == odd


def test_without_a_text_the_duty_is_open_and_says_what_to_do(tmp_path):
    lay(tmp_path, "a/one")
    texts, contents = passed(CardFolder(tmp_path), "a/one")
    assert contents == {}
    assert not duty_of(texts).kept
    told = texts.told(DUTY)
    assert "STILL OPEN" in told
    assert "beside a/one" in told
    assert "add it to licenses/ of what you publish" in told


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("LICENSE", APACHE + b"\nSection 10. The name must be printed in red.\n"),
        ("LICENSE-CODE", APACHE),
        ("NOTICE", b"A. Person made this.\n"),
        ("LICENSE", b" \n"),
    ],
)
def test_another_text_the_codes_license_a_notice_and_an_empty_file_keep_no_duty_to_ship_the_text(
    tmp_path, name, content
):
    lay(tmp_path, "a/one", **{name: content})
    texts, _ = passed(CardFolder(tmp_path), "a/one")
    assert not duty_of(texts).kept
    assert "STILL OPEN" in texts.told(DUTY)


def test_a_text_that_may_be_the_license_is_named_for_comparison(tmp_path):
    lay(tmp_path, "a/one", LICENSE=APACHE + b"\nSection 10. The name must be printed in red.\n")
    texts, contents = passed(CardFolder(tmp_path), "a/one")
    assert "(licenses/a__one-LICENSE may be it: compare)" in texts.told(DUTY)
    assert set(contents) == {"licenses/a__one-LICENSE"}


def test_a_notice_is_passed_on_and_its_duty_stays_for_a_person(tmp_path):
    lay(tmp_path, "a/one", NOTICE=b"A. Person made this.\n", LICENSE=APACHE)
    texts, contents = passed(CardFolder(tmp_path), "a/one")
    assert contents["licenses/a__one-NOTICE"] == b"A. Person made this.\n"
    assert not duty_of(texts, NOTICE_DUTY).kept
    assert "passed on as they were: licenses/a__one-NOTICE" in texts.told(NOTICE_DUTY)


def test_a_text_without_a_holder_is_the_text_of_every_model_under_it(tmp_path):
    lay(tmp_path, "a/child", CHILD)
    lay(tmp_path, "a/base", LICENSE=APACHE)
    assert duty_of(passed(CardFolder(tmp_path), "a/child")[0]).kept


def test_a_text_under_somebodys_copyright_line_is_not_the_text_of_another_model(tmp_path):
    lay(tmp_path, "a/child", CHILD)
    lay(tmp_path, "a/base", LICENSE=b"Copyright 2020 A. Person\n\n" + APACHE)
    texts, contents = passed(CardFolder(tmp_path), "a/child")
    assert set(contents) == {"licenses/a__base-LICENSE"}
    assert (duty_of(texts).kept, duty_of(texts).missing) == (False, ("a/child",))


def test_the_text_of_the_students_base_is_passed_on_as_well(tmp_path):
    lay(tmp_path, "a/one", LICENSE=APACHE)
    lay(tmp_path, "b/start", LICENSE__txt=APACHE)
    contents = passed(CardFolder(tmp_path), "a/one", student_base="b/start")[1]
    assert set(contents) == {"licenses/a__one-LICENSE", "licenses/b__start-LICENSE.txt"}


def test_a_model_whose_license_asks_for_no_text_adds_none(tmp_path):
    lay(tmp_path, "a/one", "---\nlicense: cc0-1.0\n---\n# free\n", LICENSE=APACHE)
    assert passed(CardFolder(tmp_path), "a/one")[1] == {}


def test_a_link_out_of_the_folder_is_read_by_the_gate_and_not_passed_on(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(APACHE)
    place = lay(tmp_path / "cards", "a/one")
    (place / "LICENSE").symlink_to(secret)
    card = CardFolder(tmp_path / "cards").fetch(ModelRef("model", "a/one"))
    assert set(card.files) == {"LICENSE"}
    texts, contents = passed(CardFolder(tmp_path / "cards"), "a/one")
    assert contents == {}
    assert not duty_of(texts).kept


def test_a_link_of_the_hubs_own_cache_is_followed_to_its_blob(tmp_path):
    commit = "0" * 40
    repository = tmp_path / "models--a--one"
    snapshot = repository / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for name, content in {"README.md": CARD.encode(), "LICENSE": APACHE}.items():
        blob = repository / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    texts, contents = passed(HubCache(tmp_path), "a/one")
    assert contents == {"licenses/a__one-LICENSE": APACHE}
    assert texts.texts[0].revision == commit


def test_a_file_that_was_not_read_whole_is_not_passed_on(tmp_path):
    lay(tmp_path, "a/one", LICENSE=APACHE + b" " * MAX_BESIDE_BYTES)
    assert passed(CardFolder(tmp_path), "a/one")[1] == {}


def test_there_is_a_bound_on_the_files_of_one_card(tmp_path):
    lay(tmp_path, "a/one", **{f"LICENSE-{number}": APACHE for number in range(MAX_ORIGINALS + 5)})
    assert len(passed(CardFolder(tmp_path), "a/one")[1]) == MAX_ORIGINALS


def test_hostile_names_lead_nowhere_and_collide_with_nothing(tmp_path):
    folder = tmp_path / "..model"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    for name in ("LICENSE\n# done", "LICENSE`*", "LICENSE_*", "license`*", "LICENSE\\x", "LICENSE" + "x" * 240):
        (folder / name).write_bytes(APACHE)
    contents = passed(FirstOf([ModelFolder()]), str(folder))[1]
    assert len(contents) == 6
    assert len({name.lower() for name in contents}) == 6
    for name in contents:
        assert name.startswith("licenses/")
        assert name.count("/") == 1
        assert ".." not in name
        assert len(name) < 255
        assert name.isascii()
        assert name.isprintable()
        assert not set(name) & set("`*\\ ")


def test_a_card_other_than_the_one_decided_on_adds_no_text(tmp_path):
    place = lay(tmp_path, "a/one", LICENSE=APACHE)
    kept = KeptCards(CardFolder(tmp_path))
    decision = check_license("a/one", policy=load_policy("default"), source=kept, case=Case(), today=TODAY)
    (place / "README.md").write_text(CARD + "another\n")
    kept.fetch(ModelRef("model", "a/one"))
    texts, contents = pass_on(kept.read.values(), decision, load_catalogue())
    assert contents == {}
    assert not duty_of(texts).kept


def test_cards_of_two_folders_of_one_name_are_kept_apart_and_so_are_their_texts(tmp_path):
    for name in ("one", "two"):
        place = tmp_path / name / "final"
        place.mkdir(parents=True)
        (place / "README.md").write_text(CARD + name)
        (place / "LICENSE").write_bytes(f"Copyright 2020 {name}\n\n".encode() + APACHE)
    kept = KeptCards(ModelFolder())
    teacher, base = (str(tmp_path / name / "final") for name in ("one", "two"))
    case = Case(student_base=base)
    decision = check_license(teacher, policy=load_policy("default"), source=kept, case=case, today=TODAY)
    written = kept.write(tmp_path / "cards", today=TODAY)
    assert len({path for path in written if path.name == "README.md"}) == 2
    texts, contents = pass_on(kept.read.values(), decision, load_catalogue())
    assert set(contents) == {"licenses/final-LICENSE", "licenses/2-final-LICENSE"}
    assert duty_of(texts).kept


def test_a_base_that_names_its_license_as_an_alternative_is_owed_its_text_too(tmp_path):
    lay(tmp_path, "a/child", CHILD, LICENSE=b"Copyright 2020 A. Child\n\n" + APACHE)
    lay(tmp_path, "a/base", "---\nlicense: MIT OR Apache-2.0\n---\n# a base\n")
    assert duty_of(passed(CardFolder(tmp_path), "a/child")[0]).missing == ("a/base",)
