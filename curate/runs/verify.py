"""Check a run folder: every digest, the chain, the seal, the tickets, the decisions, the signature."""

from pathlib import Path

from curate.artifact import Value, folder_files, sha256_file
from curate.errors import InputError, TamperedError
from curate.gate import ApprovedDataset, ApprovedTeacher
from curate.runs.attest import check_attestation
from curate.runs.record import (
    ATTESTATION,
    CLOSE,
    CLOSING,
    GENESIS,
    LEDGER,
    RECORD,
    LedgerLine,
    RunRecord,
    recorded_files,
)
from curate.runs.teachers import TICKET, found_files
from curate.runs.trail import read_lines
from curate.runs.verify_decisions import check_decisions


class Verification(Value):
    """What was checked and found whole."""

    run_id: str
    finished: bool
    """False: the run was killed; what is there is whole."""
    status: str
    files: int
    steps: int
    record_sha256: str = ""
    unrecorded: tuple[str, ...] = ()
    """Files of a killed run that no step had recorded yet."""
    signature: str = ""
    """What is known of its signature; empty for an unsigned run."""
    notes: tuple[str, ...] = ()
    """What a reader should know that is no fault of the folder's."""


def verify_run(root: Path, *, key: Path | None = None) -> Verification:
    """Re-hash everything below a run folder and name the first thing that differs.

    Args:
        root: the run folder.
        key: an Ed25519 public key (PEM); the run must then be signed with it.

    Raises:
        InputError: the folder is not a run, or the key is not one.
        TamperedError: something was changed, added or removed after it was recorded, or the signature is another's.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder", hint="name a folder that curate run made")
    if not (root / LEDGER).is_file() and not (root / RECORD).is_file():
        raise InputError(f"{root}: not a run folder: neither {LEDGER} nor {RECORD}", hint="name a run's own folder")
    lines = _check_chain(root)
    closed = bool(lines) and lines[-1].step == CLOSE
    if not (root / RECORD).is_file():
        if closed and not (root / CLOSING).is_file():
            raise TamperedError(f"{root / RECORD}: the run was closed, but its record is gone")
        if closed:
            _check_record(root / CLOSING, lines)
        if key is not None:
            check_attestation(root, key=key)
            raise TamperedError(f"{root}: unfinished, so its signature is over another state of it")
        return _verify_unfinished(root, lines)
    record = _check_record(root / RECORD, lines)
    _check_files(root, record.files)
    _check_no_strangers(root, record.files)
    _check_tickets(root)
    notes = check_decisions(root)
    signature = check_attestation(root, key=key)
    return Verification(
        run_id=record.run_id,
        finished=True,
        status=record.status,
        files=len(record.files) + 1,
        steps=len(record.steps),
        record_sha256=sha256_file(root / RECORD),
        signature=signature,
        notes=notes,
    )


def _check_chain(root: Path) -> list[LedgerLine]:
    """Read the ledger and follow it from line to line."""
    ledger = root / LEDGER
    if not ledger.is_file():
        raise TamperedError(f"{ledger}: gone")
    text = ledger.read_bytes().decode("utf-8", "replace")
    cut = text[: text.rfind("\n") + 1]
    if cut != text and (root / RECORD).is_file():
        raise TamperedError(f"{ledger}: ends in the middle of a line")
    try:
        lines = read_lines(cut, where=ledger)
    except InputError as error:
        raise TamperedError(error.message) from error
    previous = GENESIS
    for number, (line, raw) in enumerate(zip(lines, cut.splitlines(), strict=True), start=1):
        if line.previous_sha256 != previous or line.sequence != number - 1 or line.to_line() != raw:
            raise TamperedError(f"{ledger}:{number}: the chain is broken here")
        previous = line.digest()
    return lines


def _check_record(path: Path, lines: list[LedgerLine]) -> RunRecord:
    """The closing record: canonical bytes, seal, ledger head."""
    try:
        record = RunRecord.read(path)
    except InputError as error:
        raise TamperedError(f"{path}: not the record that was written: {error.message}") from error
    if path.read_bytes() != record.to_json().encode("utf-8", "surrogatepass") or record.seal_sha256 != record.seal():
        raise TamperedError(f"{path}: changed after it was sealed")
    head = lines[-1].digest() if lines else GENESIS
    if record.ledger_head != head:
        raise TamperedError(f"{path}: closes over another ledger than the one beside it")
    return record


def _check_files(root: Path, files: dict[str, str]) -> None:
    """Every recorded file is there with its digest."""
    for name, digest in sorted(files.items()):
        path = root / name
        if not path.is_file():
            raise TamperedError(f"{path}: recorded, but gone")
        if sha256_file(path) != digest:
            raise TamperedError(f"{path}: changed after it was recorded")


def _check_no_strangers(root: Path, files: dict[str, str]) -> None:
    """Nothing lies in the folder that was not recorded, hidden files and links included."""
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink() or (not path.is_dir() and name not in {RECORD, ATTESTATION} and name not in files):
            raise TamperedError(f"{path}: not recorded: added after the run")


def _check_tickets(root: Path) -> None:
    """Tickets open: each is bound to a decision that allows and stands in the ledger."""
    dataset = root / "dataset.json"
    for name in (TICKET, *found_files(root, TICKET)):
        if (root / name).is_file():
            ApprovedTeacher.read_ticket(root / name).open_decision(root)
    if dataset.is_file():
        ApprovedDataset.read_ticket(dataset).open(root)


def _verify_unfinished(root: Path, lines: list[LedgerLine]) -> Verification:
    """A killed run is whole if everything its steps recorded is."""
    recorded = recorded_files(lines)
    _check_files(root, recorded)
    present = [path.relative_to(root).as_posix() for path in folder_files(root)]
    return Verification(
        run_id=root.name,
        finished=False,
        status="unfinished",
        files=len(recorded) + 1,
        steps=len(lines),
        unrecorded=tuple(name for name in present if name not in {*recorded, LEDGER, CLOSING}),
    )
