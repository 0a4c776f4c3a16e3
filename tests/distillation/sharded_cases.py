"""Run by torchrun: several distillations in shards, one after the other, with what the test has written down."""

import json
import sys
from pathlib import Path

import torch

from curate.distillation.config import parse_config
from curate.distillation.distill import distill
from curate.gate import ApprovedDataset, ApprovedTeacher


def main():
    torch.set_num_threads(1)
    for case in json.loads(Path(sys.argv[1]).read_text()):
        root = Path(case["root"])
        distill(
            ApprovedTeacher.read_ticket(root / "teacher.json"),
            ApprovedDataset.read_ticket(root / "dataset.json"),
            parse_config(case["config"]),
            root=root,
            out=Path(case["out"]),
        )
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
