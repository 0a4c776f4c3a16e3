"""Who is asked what, and what came of it: one teacher in memory, or several in turn, in memory or behind endpoints."""

import gc
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from curate.distillation.answer_file import Answer, AnswerFile
from curate.distillation.answers import ask_teacher, describe_decoding
from curate.distillation.batches import Encoder
from curate.distillation.config import DistillConfig
from curate.distillation.faculty import Teacher, answers_path, deal
from curate.distillation.lesson import Dropped, make_encoder
from curate.distillation.loading import place_model
from curate.distillation.results import Serving, TeacherRecord
from curate.distillation.rows import Row
from curate.distillation.shards import is_sharded
from curate.distillation.teacher import load_teacher
from curate.distillation.world import World
from curate.progress import Progress, silent


@dataclass
class Questions:
    """Everything that is needed to ask, and afterwards who answered what."""

    config: DistillConfig
    teachers: tuple[Teacher, ...]
    folder: Path
    prompts_sha256: str
    student_reads: Encoder
    device: str = "cpu"
    offline: bool = False
    progress: Progress = silent
    anchor: Path = Path()
    """What the path of a server's program is relative to."""
    in_memory: tuple[Any, Encoder] | None = None
    """Model and encoder of a teacher that stays for the training."""
    world: World = field(default_factory=World)
    files: dict[int, AnswerFile] = field(default_factory=dict)
    answered_by: dict[str, int] = field(default_factory=dict)

    @property
    def together(self) -> bool:
        """Whether all processes must ask at once: the teacher lies in shards."""
        return self.in_memory is not None and is_sharded(self.in_memory[0])

    def ask(self, rows: Sequence[Row]) -> dict[str, Answer]:
        """The answer to every row by id; answers that are on disk are not asked for again."""
        shares = [teacher.share for teacher in self.teachers]
        self.answered_by = dict(
            zip([row.id for row in rows], deal([row.id for row in rows], shares, self.config.seed), strict=True)
        )
        answers: dict[str, Answer] = {}
        for place, teacher in enumerate(self.teachers):
            own = [row for row in rows if self.answered_by[row.id] == place]
            answers |= self._ask_one(place, teacher, own)
        return answers

    def teacher_reads(self, wanted: bool) -> Encoder | None:
        """How a teacher in memory reads, where its signals are wanted."""
        return self.in_memory[1] if wanted and self.in_memory is not None else None

    def _ask_one(self, place: int, teacher: Teacher, rows: Sequence[Row]) -> dict[str, Answer]:
        ids = [row.id for row in rows]
        if teacher.endpoint is not None:
            return self._ask_server(place, teacher, ids, shorten(self.student_reads, [row.prompt for row in rows]))
        prompts = [row.prompt for row in rows]
        file = self._open(place, teacher, describe_decoding(self.config))
        ask = partial(
            ask_teacher, temperature=self.config.answer_temperature, seed=self.config.seed, progress=self.progress
        )
        if self.in_memory is not None:
            return ask(*self.in_memory, ids, prompts, file)
        if all(name in file.found for name in ids):
            return {name: file.found[name] for name in ids}
        loading = self.config.loading
        model, tokenizer = load_teacher(teacher.ticket, teacher.root, offline=self.offline, loading=loading)
        place_model(model, self.device)
        encoder = make_encoder(tokenizer, self.config, model)
        answers = ask(model, encoder, ids, prompts, file)
        del model
        free_memory()  # the next one needs the room
        return answers

    def _ask_server(
        self, place: int, teacher: Teacher, ids: Sequence[str], prompts: Sequence[str]
    ) -> dict[str, Answer]:
        from curate.distillation.endpoint import ask_endpoint, unanswered

        endpoint, ref = teacher.endpoint, teacher.ticket.ref
        assert endpoint is not None  # noqa: S101 – for the type checker
        decoding = teacher.decoding(self.config)
        told = {"through": "endpoint", **vars(decoding), "max_prompt_tokens": self.config.max_prompt_tokens}
        file = self._open(place, teacher, told)
        ask = partial(ask_endpoint, decoding=decoding, ids=ids, prompts=prompts, file=file, ref=ref)
        if endpoint.serve is None or not unanswered(ids, prompts, file):
            return ask(endpoint, progress=self.progress)
        from curate.distillation.serving import serving, what_to_serve

        teacher.ticket.open(teacher.root)  # the weights are still those that were approved
        served = what_to_serve(teacher.ticket, decoding.model)
        log = self.folder / ("server.log" if len(self.teachers) == 1 else f"server-{place + 1}.log")
        with serving(
            endpoint,
            served,
            log=log,
            tell=file.tell_served_by,
            anchor=self.anchor,
            offline=self.offline,
            progress=self.progress,
        ) as server:
            return ask(server.endpoint, key=server.key, watch=server.watch, progress=self.progress)

    def _open(self, place: int, teacher: Teacher, decoding: Mapping[str, Any]) -> AnswerFile:
        path = answers_path(self.folder, place, len(self.teachers))
        fingerprint = teacher.asked_sha256(self.config, self.prompts_sha256)
        if self.together:
            with self.world.first_alone():  # who begins the file, or mends its last line
                self.files[place] = AnswerFile(path, fingerprint, decoding, writes=self.world.is_first)
            self.world.wait()  # nobody writes before everybody has read
        else:
            self.files[place] = AnswerFile(path, fingerprint, decoding)
        return self.files[place]

    def records(self, dropped: Sequence[Dropped]) -> tuple[TeacherRecord, ...]:
        """What each teacher did, for the report."""
        return tuple(self._record(place, teacher, dropped) for place, teacher in enumerate(self.teachers))

    def _record(self, place: int, teacher: Teacher, dropped: Sequence[Dropped]) -> TeacherRecord:
        file = self.files[place]
        ids = [name for name, owner in self.answered_by.items() if owner == place]
        answers = [file.found[name] for name in ids]
        lost = {one.id: one.reason for one in dropped}
        return TeacherRecord(
            ref=teacher.ticket.ref,
            revision=teacher.ticket.revision,
            decision_sha256=teacher.ticket.decision_sha256,
            obligations=teacher.ticket.obligations,
            share=teacher.share / sum(one.share for one in self.teachers),
            decoding=file.decoding,
            answers=len(answers),
            cut=sum(one.finish == "length" for one in answers),
            dropped=dict(sorted(Counter(lost[name] for name in ids if name in lost).items())),
            served_as=tuple(sorted({one.model for one in answers if one.model})),
            servings=tuple(dict.fromkeys(Serving.model_validate(one) for one in file.servings)),
            prompt_tokens=sum(one.prompt_tokens for one in answers),
            completion_tokens=sum(one.completion_tokens for one in answers),
            estimated_tokens=sum(one.estimated_tokens for one in answers),
            lost_tokens=file.lost_tokens,
        )


def free_memory() -> None:
    """Give back what models took that are gone, a card's memory to other processes as well."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()


def shorten(encoder: Encoder, prompts: Sequence[str]) -> list[str]:
    """Prompts as far as the student will read them, so that a server answers what the student is asked."""
    room = encoder.max_prompt_tokens - len(encoder.encode_prompts([""])[0])
    texts = list(prompts)
    for place, text in enumerate(texts):
        if len(text.encode("utf-8", "surrogatepass")) <= room:  # no more tokens than bytes
            continue
        tokens = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(tokens) > room:
            texts[place] = encoder.tokenizer.decode(tokens[: max(1, room)])
    return texts
