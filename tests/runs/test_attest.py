import base64
import json
import random
import sys

import pytest

pytest.importorskip("securesystemslib")
pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_public_key,
)

from curate.artifact import canonical_json, sha256_file
from curate.errors import ConfigError, Denied, MissingExtra, TamperedError
from curate.runs.attest import attest, read_signing_key
from curate.runs.record import ATTESTATION, RECORD
from curate.runs.verify import verify_run
from tests.runs.conftest import run_example
from tests.runs.forging import rehash


def write_pair(folder, name):
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {name: write_pair(folder, name) for name in ("ours", "theirs")}


@pytest.fixture
def signed(denied, keys):
    attest(denied, read_signing_key(keys["ours"][0]))
    return denied


def test_a_signed_run_verifies_with_its_key_and_says_who_signed(signed, keys):
    assert verify_run(signed, key=keys["ours"][1]).signature.startswith("signed by key")


def test_a_signed_run_verifies_without_a_key_but_says_that_nobody_vouches_for_it(signed):
    assert "nothing here vouches" in verify_run(signed).signature


def test_an_unsigned_run_says_so_and_fails_where_a_key_is_given(denied, keys):
    assert verify_run(denied).signature == ""
    with pytest.raises(TamperedError, match="not signed"):
        verify_run(denied, key=keys["ours"][1])


def test_another_key_is_not_ours(signed, keys):
    with pytest.raises(TamperedError, match="not signed by key"):
        verify_run(signed, key=keys["theirs"][1])


def test_a_forgery_that_was_hashed_again_is_found_by_the_signature(signed, keys):
    (signed / "report.html").write_text("<p>allowed</p>")
    rehash(signed)
    with pytest.raises(TamperedError, match=r"another run\.json"):
        verify_run(signed, key=keys["ours"][1])
    (signed / ATTESTATION).unlink()
    assert verify_run(signed).finished
    with pytest.raises(TamperedError, match="not signed"):
        verify_run(signed, key=keys["ours"][1])


def test_a_forgery_that_was_signed_again_with_another_key_is_found(signed, keys):
    (signed / "report.html").write_text("<p>allowed</p>")
    rehash(signed)
    attest(signed, read_signing_key(keys["theirs"][0]))
    with pytest.raises(TamperedError, match="not signed by key"):
        verify_run(signed, key=keys["ours"][1])


def test_every_sampled_byte_changed_in_an_envelope_is_found_without_any_key(signed):
    path = signed / ATTESTATION
    whole = path.read_bytes()
    places = random.Random(0).sample(range(len(whole)), 200)
    for place in [0, len(whole) - 1, *places]:
        spoiled = bytearray(whole)
        spoiled[place] ^= 1
        path.write_bytes(bytes(spoiled))
        with pytest.raises(TamperedError):
            verify_run(signed)


@pytest.mark.parametrize("content", ["", "{}", "[]", "null", '{"payload": 3}', '{"payload": "", "signatures": []}'])
def test_what_is_no_envelope_is_found(signed, content):
    (signed / ATTESTATION).write_text(content)
    with pytest.raises(TamperedError):
        verify_run(signed)


def test_a_statement_that_claims_something_else_is_found_though_it_is_signed(signed, keys):
    from securesystemslib.dsse import Envelope

    document = json.loads((signed / ATTESTATION).read_text())
    statement = json.loads(base64.b64decode(document["payload"]))
    statement["predicate"]["verdicts"]["teacher"] = "allow"
    envelope = Envelope(canonical_json(statement).encode(), document["payloadType"], {})
    envelope.sign(read_signing_key(keys["ours"][0]))
    (signed / ATTESTATION).write_text(canonical_json(envelope.to_dict()))
    with pytest.raises(TamperedError, match="another verdicts"):
        verify_run(signed, key=keys["ours"][1])


def test_a_stranger_beside_the_attestation_is_still_found(signed):
    (signed / "attestation.dsse.json.bak").write_text("")
    with pytest.raises(TamperedError, match="not recorded"):
        verify_run(signed)


def test_the_statement_names_teacher_student_policy_data_and_verdicts(finished, keys):
    path = attest(finished, read_signing_key(keys["ours"][0]))
    document = json.loads(path.read_text())
    statement = json.loads(base64.b64decode(document["payload"]))
    assert document["payloadType"] == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert [one["name"] for one in statement["subject"]] == [RECORD, "student/model.safetensors"]
    predicate = statement["predicate"]
    assert predicate["teacher"]["route"] == "embedded"
    assert predicate["verdicts"] == {
        "teacher": "allow", "base": "allow", "student_license": "allow", "prompts": "allow",
    }  # fmt: skip
    assert predicate["student"]["sha256"] == json.loads((finished / "training.json").read_text())["student_sha256"]
    assert len(predicate["dataset"]["sha256"]) == len(predicate["policy"]["sha256"]) == 64
    assert verify_run(finished, key=keys["ours"][1]).finished


@pytest.mark.parametrize("kind", ["finished", "denied"])
def test_in_totos_own_libraries_read_the_envelope_and_find_the_statement_valid(request, keys, kind):
    from google.protobuf.json_format import Parse
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    root = request.getfixturevalue(kind)
    attest(root, read_signing_key(keys["ours"][0]))
    envelope = Envelope.from_dict(json.loads((root / ATTESTATION).read_text()))
    assert envelope.payload_type == "application/vnd.in-toto+json"
    public = load_pem_public_key(keys["ours"][1].read_bytes())
    assert envelope.verify([SSlibKey.from_crypto(public)], threshold=1)
    statement = Statement.copy_from_pb(Parse(envelope.payload, statement_pb2.Statement()))
    statement.validate()
    assert statement.pb.predicate_type == "urn:x-curate:gated-distillation:v1"
    assert statement.pb.subject[0].digest["sha256"] == sha256_file(root / RECORD)
    statement.pb.subject[0].digest.clear()
    with pytest.raises(ValueError, match="digest"):
        statement.validate()


def test_a_denied_run_is_signed_as_well(tmp_path, keys):
    with pytest.raises(Denied):
        run_example("run-denied.yaml", tmp_path, sign=keys["ours"][0])
    assert verify_run(next(tmp_path.iterdir()), key=keys["ours"][1]).status == "denied"


def test_a_run_that_goes_on_loses_its_old_signature(signed):
    with pytest.raises(Denied):
        run_example("run-denied.yaml", signed.parent, resume=signed)
    assert not (signed / ATTESTATION).exists()
    assert verify_run(signed).signature == ""


def test_keys_that_are_none_are_refused_before_anything_runs(tmp_path, keys):
    other = tmp_path / "rsa.pem"
    rsa = generate_private_key(public_exponent=65537, key_size=2048)
    other.write_bytes(rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "text.pem").write_text("no key")
    for key in (other, tmp_path / "text.pem", tmp_path / "absent.pem", keys["ours"][1]):
        with pytest.raises(ConfigError):
            run_example("run-denied.yaml", tmp_path / "reports", sign=key)
    assert not (tmp_path / "reports").exists()


def test_without_the_extra_a_key_is_a_missing_extra_and_a_signed_run_says_it_was_not_checked(signed, keys, monkeypatch):
    monkeypatch.setitem(sys.modules, "securesystemslib.signer", None)
    with pytest.raises(MissingExtra, match="securesystemslib"):
        verify_run(signed, key=keys["ours"][1])
    assert "not checked" in verify_run(signed).signature
