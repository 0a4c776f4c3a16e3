"""How a student leaves: whole, merged, as a plain transformers folder that is there or is not."""

import shutil
from pathlib import Path
from typing import Any

from curate.distillation.checkpoint import writing
from curate.distillation.config import StudentConfig
from curate.distillation.lora import merge_lora
from curate.distillation.shards import is_sharded
from curate.distillation.student import export_student
from curate.distillation.world import World


def leave(student: Any, tokenizer: Any, folder: Path, config: StudentConfig, world: World) -> None:  # noqa: ANN401
    """Save beside, then rename. The first process writes; of a sharded student every process must call this."""
    if is_sharded(student):
        from curate.distillation.sharding import gather_model

        student = gather_model(student, world, config.lora)
    if world.is_first:
        partial = folder.with_name(".student.partial")
        shutil.rmtree(partial, ignore_errors=True)
        if config.lora:
            merge_lora(student)
        with writing(folder):
            export_student(student, tokenizer, partial, dtype=config.dtype)
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
    if world.sharded:
        world.wait()
