"""The counts of an optimizer step, taken from its tensors: what those taken from its examples are held against."""

from curate.distillation.features import count_positions
from curate.distillation.stack import Totals


def count_totals(batches):
    """The counts of one optimizer step."""
    listed = list(batches)
    masks = {side: [batch.masks[side] for batch in listed] for side in (listed[0].masks if listed else ())}
    return Totals(
        max(1, sum(batch.answer_tokens for batch in listed)),
        {side: max(1, sum(count_positions(mask) for mask in known)) for side, known in masks.items()},
        {side: max(1, sum(int(mask.sum()) for mask in known)) for side, known in masks.items()},
    )
