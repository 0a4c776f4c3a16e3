"""All four terms of one batch: L = task·L_task + α·L_KD + β·L_feat + γ·L_att."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from curate.distillation.attention import attention_loss
from curate.distillation.balance import RESPONSE
from curate.distillation.batches import Batch, Example
from curate.distillation.cache import TeacherCache
from curate.distillation.config import ULD, LossConfig
from curate.distillation.features import FeatureLoss
from curate.distillation.fused import FusedTerms, fused_kd_terms, fused_topk_terms
from curate.distillation.layers import LayerMap, map_features, map_maps
from curate.distillation.sides import CROSS, DECODER, ENCODER, count_layers
from curate.distillation.signals import Probe, Signals, find_head
from curate.distillation.uld import HeadOptions, fused_uld_terms, pair_positions


@dataclass(frozen=True)
class Totals:
    """What sums are divided by: counts over all batches of one optimizer step, so that splitting it changes nothing."""

    answer_tokens: int
    positions: dict[str, int]
    """By side: real tokens but the first of each row."""
    queries: dict[str, int]
    """By side: real tokens."""

    @property
    def tokens(self) -> int:
        """Everything that is read."""
        return sum(self.queries.values())


def count_examples(examples: Sequence[Example]) -> Totals:
    """The counts of one optimizer step, from its examples, before any of them is a tensor."""
    listed = [example.lengths for example in examples]
    sides = {side: [lengths[side] for lengths in listed] for side in (listed[0] if listed else ())}
    return Totals(
        max(1, sum(len(example.answer) for example in examples)),
        {side: max(1, sum(known) - len(known)) for side, known in sides.items()},
        {side: max(1, sum(known)) for side, known in sides.items()},
    )


class LossStack:
    """Student and teacher, wired for the terms whose weight is not zero; ``close`` takes the wires out again."""

    def __init__(
        self,
        student: Any,  # noqa: ANN401 – transformers models
        teacher: Any,  # noqa: ANN401
        losses: LossConfig,
        *,
        vocabulary: int = 0,
        kept: tuple[int, ...] = (),
        kept_encoder: tuple[int, ...] = (),
        cache: TeacherCache | None = None,
    ) -> None:
        self.losses = losses
        self.factors: dict[str, float] = {}
        """What ``balance`` multiplies a term's weight by."""
        self.vocabulary = vocabulary or find_head(student).weight.shape[0]
        sides = count_layers(student.config), count_layers(teacher.config), {DECODER: kept, ENCODER: kept_encoder}
        self.hidden_pairs = map_features(losses.feature.layers, *sides) if losses.feature.weight else {}
        self.map_pairs = map_maps(losses.attention.layers, *sides) if losses.attention.weight else {}
        self.cache = cache
        self.needs_teacher = needs_teacher(losses) and cache is None
        self.features: nn.ModuleDict | None = None
        if self.hidden_pairs:
            widths, distance = (student.config.hidden_size, teacher.config.hidden_size), losses.feature.distance
            made = {side: FeatureLoss(pairs, *widths, distance) for side, pairs in self.hidden_pairs.items()}
            self.features = nn.ModuleDict(made).to(next(student.parameters()).device)
        self.student = student
        self.teacher = teacher
        self.student_probe = Probe(student, hidden=_choose(self.hidden_pairs, 0), maps=_choose(self.map_pairs, 0))
        live = {"hidden": self.teacher_states, "maps": _choose(self.map_pairs, 1)} if cache is None else {}
        self.teacher_probe = Probe(teacher, **live)

    def __call__(self, batch: Batch, totals: Totals) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted loss with its graph, and every wired term unweighted; over a step's batches they add up."""
        parts, terms = self.read(batch, totals)
        return self.weigh(parts), terms

    def weigh(self, parts: dict[str, Tensor]) -> Tensor:
        """The weighted loss from its parts."""
        loss = parts[RESPONSE]
        for name, scale in self.scales.items():
            if name in parts:
                loss = loss + scale * parts[name]
        return loss

    @property
    def scales(self) -> dict[str, float]:
        """Weights of the wired terms beside the response, times what ``balance`` found."""
        return {name: weight * self.factors.get(name, 1.0) for name, weight in self.weights.items()}

    @property
    def term_names(self) -> list[str]:
        """Every term that is measured."""
        response = {"task": self.losses.task, "kd": self.losses.kd.weight}
        return [*(name for name, weight in response.items() if weight), *self.weights]

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the wired terms beside the response."""
        wired = {"feature": self.hidden_pairs, "attention": self.map_pairs}
        known = {"feature": self.losses.feature.weight, "attention": self.losses.attention.weight}
        return {name: known[name] for name, pairs in wired.items() if pairs}

    def read(self, batch: Batch, totals: Totals) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The response, weighted, and each further term, unweighted, with their graphs; and every term as a value."""
        ours = self.student_probe(batch)
        theirs = self._look(batch)
        loss, terms = self._response(batch, ours.last, None if theirs is None else theirs.last, totals)
        parts = {RESPONSE: loss}
        if theirs is not None and self.features is not None:
            parts["feature"] = self._feature(batch, ours, theirs, totals)
        if theirs is not None and theirs.attentions:
            parts["attention"] = self._attention(batch, ours, theirs, totals)
        terms |= {name: part for name, part in parts.items() if name != RESPONSE}
        return parts, {name: term.detach() for name, term in terms.items()}

    def _look(self, batch: Batch) -> Signals | None:
        """What the teacher shows, live or from its cache; None where no term asks."""
        if self.cache is not None:
            return Signals(torch.empty(0), self.cache.read_states(batch, self.teacher_states))
        if not self.needs_teacher:
            return None
        with torch.no_grad():
            return self.teacher_probe(batch.twin or batch)

    @property
    def teacher_states(self) -> dict[str, list[int]]:
        """Hidden states of the teacher that the feature term looks at, numbers by side."""
        return _choose(self.hidden_pairs, 1)

    def _feature(self, batch: Batch, ours: Signals, theirs: Signals, totals: Totals) -> Tensor:
        """The feature term, each side over its own positions."""
        total = torch.zeros((), dtype=torch.float32, device=batch.input_ids.device)
        for side, feature in (self.features or nn.ModuleDict()).items():
            mask = batch.masks[side]
            total = total + feature(ours.states[side], theirs.states[side], mask) / totals.positions[side]
        return total

    def _attention(self, batch: Batch, ours: Signals, theirs: Signals, totals: Totals) -> Tensor:
        """The attention term, each side over its own queries."""
        total = torch.zeros((), dtype=torch.float32, device=batch.input_ids.device)
        distance = self.losses.attention.distance
        for side, pairs in self.map_pairs.items():
            looks, seen = (DECODER, ENCODER) if side == CROSS else (side, side)
            maps = ours.attentions[side], theirs.attentions[side]
            part = attention_loss(pairs, *maps, batch.masks[looks], distance, batch.masks[seen])
            total = total + part / totals.queries[looks]
        return total

    def _response(
        self, batch: Batch, ours: Tensor, theirs: Tensor | None, totals: Totals
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Task and KD term from the positions that predict answer tokens; no other position reaches the head."""
        kd = self.losses.kd
        head = find_head(self.student)
        states, weight = head.split(ours[batch.predicts], self.vocabulary)
        share = batch.answer_tokens / totals.answer_tokens
        if self.cache is not None and kd.weight:
            options = {"student_scale": head.scale, "student_softcap": head.softcap}
            result = self._cached(batch, states, weight, self.cache, options)
            return self._share(result, share)
        teacher_head = find_head(self.teacher)
        teacher_states = teacher_weight = None
        if theirs is not None and kd.weight:
            if kd.divergence == ULD:
                return self._share(self._across(batch, states, weight, theirs), share)
            teacher_states, teacher_weight = teacher_head.split(theirs[(batch.twin or batch).predicts], self.vocabulary)
        result = fused_kd_terms(
            states,
            weight,
            teacher_states,
            teacher_weight,
            batch.labels,
            temperature=kd.temperature,
            task_weight=self.losses.task,
            kd_weight=kd.weight,
            divergence=kd.divergence,
            student_scale=head.scale,
            teacher_scale=teacher_head.scale,
            student_softcap=head.softcap,
            teacher_softcap=teacher_head.softcap,
        )
        return self._share(result, share)

    def _cached(
        self, batch: Batch, states: Tensor, weight: Tensor, cache: TeacherCache, options: dict[str, Any]
    ) -> FusedTerms:
        """The same terms with the teacher read from its cache."""
        kd = self.losses.kd
        top = cache.read(batch)
        return fused_topk_terms(
            states,
            weight,
            *top,
            batch.labels,
            temperature=kd.temperature,
            task_weight=self.losses.task,
            kd_weight=kd.weight,
            divergence=kd.divergence,
            **options,
        )

    def _across(self, batch: Batch, states: Tensor, weight: Tensor, theirs: Tensor) -> FusedTerms:
        """The same terms with a teacher that may split text otherwise."""
        read, ours, head = batch.twin or batch, find_head(self.student), find_head(self.teacher)
        return fused_uld_terms(
            states,
            weight,
            *head.split(theirs[read.predicts], head.weight.shape[0]),
            batch.labels,
            pair_positions(batch.predicts, read.predicts),
            temperature=self.losses.kd.temperature,
            task_weight=self.losses.task,
            kd_weight=self.losses.kd.weight,
            student=HeadOptions(ours.scale, ours.softcap),
            teacher=HeadOptions(head.scale, head.softcap),
        )

    def _share(self, result: FusedTerms, share: float) -> tuple[Tensor, dict[str, Tensor]]:
        """A batch's means as its part of the step's."""
        terms = {"task": result.task * share} if self.losses.task else {}
        if self.losses.kd.weight:
            terms["kd"] = result.kd * share
        return (result.loss if share == 1 else result.loss * share), terms

    def parameters(self) -> list[Tensor]:
        """Everything that is trained: the student and the projections."""
        return [*self.student.parameters(), *(self.features.parameters() if self.features else [])]

    def close(self) -> None:
        """Leave both models as they were."""
        self.student_probe.close()
        self.teacher_probe.close()


def needs_teacher(losses: LossConfig) -> bool:
    """Whether any term looks at the teacher while the student trains."""
    return bool(losses.kd.weight or losses.feature.weight or losses.attention.weight)


def _choose(maps: Mapping[str, LayerMap], model: int) -> dict[str, list[int]]:
    """The numbers that a layer map names: 0 for those of the student, 1 for those of the teacher."""
    return {side: [int(triple[model]) for triple in pairs] for side, pairs in maps.items()}
