"""The teacher of a training, read once before it, where the config asks for that."""

from pathlib import Path
from typing import Any

from curate.distillation.batches import Encoder, Example
from curate.distillation.cache import TeacherCache, build_cache, fingerprint_cache
from curate.distillation.config import DistillConfig
from curate.distillation.shards import is_sharded
from curate.distillation.stack import LossStack, needs_teacher
from curate.distillation.vocabulary import fingerprint_tokenizer
from curate.distillation.world import World
from curate.gate import ApprovedTeacher
from curate.progress import Progress


def cache_teacher(
    stack: LossStack,
    ticket: ApprovedTeacher,
    examples: tuple[Example, ...],
    reads: Encoder,
    config: DistillConfig,
    *,
    vocabulary: int,
    folder: Path,
    progress: Progress,
    world: World,
) -> TeacherCache | None:
    """Everything that the stack's terms will want of its teacher; None where it is to be asked live, or not at all."""
    kd = config.losses.kd
    if config.signals != "cached" or not needs_teacher(config.losses):
        return None
    who = f"{ticket.content_sha256 or ticket.ref}@{ticket.revision} {config.loading}"
    kept: dict[str, Any] = {"top_k": config.cache_top_k if kd.weight else 0, "temperature": kd.temperature}
    kept |= {"vocabulary": vocabulary, "states": stack.teacher_states}
    fingerprint = fingerprint_cache(who, examples, tokenizer=fingerprint_tokenizer(reads.tokenizer), **kept)
    together = is_sharded(stack.teacher)
    kept |= {"pad": reads.pad, "progress": progress, "world": world if together else World()}
    with world.first_alone(together=together):
        return build_cache(folder, fingerprint, examples, stack.teacher, **kept)
