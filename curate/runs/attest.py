"""Sign a closed run: an in-toto Statement over its record, in a DSSE envelope with an Ed25519 signature."""

import base64
import binascii
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.artifact import canonical_json, sha256_file, write_text
from curate.errors import ConfigError, InputError, MissingExtra, TamperedError
from curate.runs.record import ATTESTATION, RECORD
from curate.runs.statement import PAYLOAD_TYPE, make_statement

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

PUBLIC_HINT = "make one: openssl pkey -in KEY -pubout -out KEY.pub"
PRIVATE_HINT = "make one: openssl genpkey -algorithm ed25519 -out KEY"


def read_signing_key(path: Path) -> "CryptoSigner":
    """The Ed25519 private key of a PEM file, without a passphrase.

    Raises:
        ConfigError: no such file, or no such key in it.
        MissingExtra: the ``sign`` extra is not installed.
    """
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
        from securesystemslib.signer import CryptoSigner
    except ImportError as error:
        raise MissingExtra("securesystemslib[crypto]", "sign") from error
    try:
        key = load_pem_private_key(_read(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{path}: not a PEM private key without a passphrase", hint=PRIVATE_HINT) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: not an Ed25519 key", hint=PRIVATE_HINT)
    return CryptoSigner(key)


def read_public_key(path: Path) -> "SSlibKey":
    """The Ed25519 public key of a PEM file.

    Raises:
        ConfigError: no such file, or no such key in it.
        MissingExtra: the ``sign`` extra is not installed.
    """
    return _public_key(_read(path), where=str(path))


def _public_key(pem: bytes, *, where: str) -> "SSlibKey":
    """The key of a PEM text."""
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import SSlibKey
    except ImportError as error:
        raise MissingExtra("securesystemslib[crypto]", "sign") from error
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{where}: not a PEM public key", hint=PUBLIC_HINT) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(f"{where}: not an Ed25519 key", hint=PRIVATE_HINT)
    return SSlibKey.from_crypto(key)


def _read(path: Path) -> bytes:
    """A key file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", hint=PRIVATE_HINT) from error


def attest(root: Path, signer: "CryptoSigner") -> Path:
    """Sign a closed run; the envelope is signed over the record, so the record cannot list it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from securesystemslib.dsse import Envelope

    key = signer.public_key
    raw = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.keyval["public"]))
    pem = raw.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")
    statement = make_statement(root, public_key=pem)
    envelope = Envelope(canonical_json(statement).encode("utf-8", "surrogatepass"), PAYLOAD_TYPE, {})
    envelope.sign(signer)
    write_text(root / ATTESTATION, canonical_json(envelope.to_dict()))
    return root / ATTESTATION


def check_attestation(root: Path, *, key: Path | None = None) -> str:
    """Check a run's signature and that what was signed is this run; returns a line for people.

    With ``key``, only its signature counts. Without one, the signature is checked against the key that the envelope
    names: that finds a changed byte, not another signer.

    Raises:
        TamperedError: no signature where one is asked for, another key's, a changed envelope, or another run's.
        ConfigError, MissingExtra: the key cannot be used.
    """
    trusted = read_public_key(key) if key else None
    path = root / ATTESTATION
    if not path.is_file():
        if trusted is not None:
            raise TamperedError(f"{root}: not signed: no {ATTESTATION}", hint="sign runs with curate run --sign KEY")
        return ""
    document, statement = _open(path)
    _check_statement(root, path, statement)
    try:
        named = _named_key(path, statement)
    except MissingExtra as missing:
        return f"signed, but the signature was not checked: {missing}"
    _check_signature(path, document, trusted or named)
    if trusted is None:
        return f"signed by key {named.keyid[:16]}, which nothing here vouches for: give --key PUBLIC_KEY"
    return f"signed by key {trusted.keyid[:16]}"


def _open(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The envelope and the statement in it, both exactly as they were written."""
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text)
        payload = base64.b64decode(document["payload"], validate=True).decode("utf-8", "surrogatepass")
        statement = json.loads(payload)
        signature = document["signatures"][0]["sig"]
        whole = (
            text == canonical_json(document)
            and payload == canonical_json(statement)
            and set(document) == {"payload", "payloadType", "signatures"}
            and document["payloadType"] == PAYLOAD_TYPE
            and base64.b64encode(base64.b64decode(document["payload"])).decode() == document["payload"]
            and base64.b64encode(base64.b64decode(signature)).decode() == signature
            and isinstance(statement["predicate"], dict)
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError, binascii.Error) as error:
        raise TamperedError(f"{path}: not the envelope that was written") from error
    if not whole:
        raise TamperedError(f"{path}: not the envelope that was written")
    return document, statement


def _check_statement(root: Path, path: Path, statement: dict[str, Any]) -> None:
    """What was signed is what lies here: every subject by its digest, every claim as the folder has it."""
    for subject in statement.get("subject", []):
        name = str(subject.get("name", ""))
        if ".." in Path(name).parts or Path(name).is_absolute() or not (root / name).is_file():
            raise TamperedError(f"{path}: signed over {name}, which is not here")
        if sha256_file(root / name) != subject.get("digest", {}).get("sha256"):
            raise TamperedError(f"{path}: signed over another {name} than the one in the folder")
    expected = make_statement(root, public_key=str(statement["predicate"].get("signer_public_key", "")))
    if statement.get("subject") != expected["subject"] or {**statement, "predicate": {}} != {
        **expected,
        "predicate": {},
    }:
        raise TamperedError(f"{path}: not a statement over {root / RECORD}")
    for name, claim in statement["predicate"].items():
        if expected["predicate"].get(name) != claim:
            raise TamperedError(f"{path}: claims another {name} than the folder shows")


def _named_key(path: Path, statement: dict[str, Any]) -> "SSlibKey":
    """The key that the statement itself names."""
    try:
        return _public_key(str(statement["predicate"].get("signer_public_key", "")).encode(), where=str(path))
    except InputError as error:
        raise TamperedError(f"{path}: names no key") from error


def _check_signature(path: Path, document: dict[str, Any], key: "SSlibKey") -> None:
    """The one signature is the key's."""
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error

    try:
        envelope: Envelope = Envelope.from_dict(json.loads(json.dumps(document)))
        if len(envelope.signatures) != 1:
            raise TamperedError(f"{path}: not the one signature that was written")
        envelope.verify([key], threshold=1)
    except (Error, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TamperedError(f"{path}: not signed by key {key.keyid[:16]}") from error
