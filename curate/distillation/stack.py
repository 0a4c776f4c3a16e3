"""All four terms of one batch: L = task·L_task + α·L_KD + β·L_feat + γ·L_att."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from curate.distillation.attention import attention_loss
from curate.distillation.balance import RESPONSE
from curate.distillation.batches import Batch, Example
from curate.distillation.cache import TeacherCache
from curate.distillation.config import LossConfig
from curate.distillation.features import FeatureLoss, count_positions
from curate.distillation.fused import FusedTerms, fused_kd_terms, fused_topk_terms
from curate.distillation.layers import LayerMap, map_attention, map_hidden
from curate.distillation.signals import Probe, find_head


@dataclass(frozen=True)
class Totals:
    """What sums are divided by: counts over all batches of one optimizer step, so that splitting it changes nothing."""

    answer_tokens: int
    positions: int
    queries: int


def count_totals(batches: Iterable[Batch]) -> Totals:
    """The counts of one optimizer step."""
    listed = list(batches)
    return Totals(
        max(1, sum(batch.answer_tokens for batch in listed)),
        max(1, sum(count_positions(batch.mask) for batch in listed)),
        max(1, sum(int(batch.mask.sum()) for batch in listed)),
    )


def count_examples(examples: Iterable[Example]) -> Totals:
    """The same from the examples of a step, before any of them is a tensor."""
    listed = list(examples)
    tokens = sum(example.length for example in listed)
    answers = sum(len(example.answer) for example in listed)
    return Totals(max(1, answers), max(1, tokens - len(listed)), max(1, tokens))


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
        cache: TeacherCache | None = None,
    ) -> None:
        self.losses = losses
        self.factors: dict[str, float] = {}
        """What ``balance`` multiplies a term's weight by."""
        self.vocabulary = vocabulary or find_head(student).weight.shape[0]
        depths = student.config.num_hidden_layers, teacher.config.num_hidden_layers
        self.hidden_pairs: LayerMap = map_hidden(losses.feature.layers, *depths, kept) if losses.feature.weight else ()
        self.map_pairs: LayerMap = (
            map_attention(losses.attention.layers, *depths, kept) if losses.attention.weight else ()
        )
        self.cache = cache
        self.needs_teacher = needs_teacher(losses) and cache is None
        self.features: FeatureLoss | None = None
        if self.hidden_pairs:
            widths = student.config.hidden_size, teacher.config.hidden_size
            self.features = FeatureLoss(self.hidden_pairs, *widths, losses.feature.distance)
            self.features.to(next(student.parameters()).device)
        self.student = student
        self.teacher = teacher
        self.student_probe = Probe(
            student, hidden=[ours for ours, _, _ in self.hidden_pairs], maps=[ours for ours, _, _ in self.map_pairs]
        )
        self.teacher_probe = Probe(
            teacher,
            hidden=[theirs for _, theirs, _ in self.hidden_pairs],
            maps=[theirs for _, theirs, _ in self.map_pairs],
        )

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
        theirs = None
        if self.needs_teacher:
            with torch.no_grad():
                theirs = self.teacher_probe(batch)
        loss, terms = self._response(batch, ours.last, None if theirs is None else theirs.last, totals)
        parts = {RESPONSE: loss}
        if theirs is not None and self.features is not None:
            parts["feature"] = self.features(ours.hidden, theirs.hidden, batch.mask) / totals.positions
        if theirs is not None and self.map_pairs:
            distance = self.losses.attention.distance
            total = attention_loss(self.map_pairs, ours.maps, theirs.maps, batch.mask, distance)
            parts["attention"] = total / totals.queries
        terms |= {name: part for name, part in parts.items() if name != RESPONSE}
        return parts, {name: term.detach() for name, term in terms.items()}

    def _response(
        self, batch: Batch, ours: Tensor, theirs: Tensor | None, totals: Totals
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Task and KD term from the positions that predict answer tokens; no other position reaches the head."""
        kd = self.losses.kd
        head = find_head(self.student)
        states, weight = head.split(ours[batch.predicts], self.vocabulary)
        share = batch.answer_tokens / totals.answer_tokens
        if self.cache is not None:
            options = {"student_scale": head.scale, "student_softcap": head.softcap}
            result = self._cached(batch, states, weight, self.cache, options)
            return self._share(result, share)
        teacher_head = find_head(self.teacher)
        teacher_states = teacher_weight = None
        if theirs is not None and kd.weight:
            teacher_states, teacher_weight = teacher_head.split(theirs[batch.predicts], self.vocabulary)
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
