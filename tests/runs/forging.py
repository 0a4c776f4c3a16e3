"""What someone does who can write the whole folder: rewrite files, chain, record and seal so that they agree."""

from curate.artifact import sha256_file
from curate.runs.record import GENESIS, LEDGER, RECORD, RunRecord, recorded_files
from curate.runs.trail import read_lines


def rehash(root):
    """Make ledger and record agree with the files that lie there now."""
    lines, previous = [], GENESIS
    for line in read_lines((root / LEDGER).read_text(), where=root / LEDGER):
        artifacts = {
            name: sha256_file(root / name) if (root / name).is_file() else old for name, old in line.artifacts.items()
        }
        line = line.model_copy(update={"artifacts": artifacts, "previous_sha256": previous})
        previous = line.digest()
        lines.append(line)
    (root / LEDGER).write_text("".join(f"{line.to_line()}\n" for line in lines))
    record = RunRecord.read(root / RECORD)
    files = {**recorded_files(lines), LEDGER: sha256_file(root / LEDGER)}
    record.model_copy(update={"files": files, "ledger_head": previous}).sealed().write(root / RECORD)
