"""A student whose weights stay, beside low-rank matrices that learn (LoRA, Hu et al., 2021); folded in at export.

The matrices are put into the model itself, so that signals, losses and checkpoints see the same model.
"""

from typing import Any

from curate.distillation.config import LoraSettings
from curate.errors import ConfigError, MissingExtra


def add_lora(model: Any, settings: LoraSettings) -> None:  # noqa: ANN401 – a transformers model
    """Freeze a model and put trainable matrices beside its linear layers; its outputs are still the same.

    Raises:
        ConfigError: targets that the model does not have, or its head or embedding.
        MissingExtra: peft is not installed.
    """
    check_lora()
    from peft import LoraConfig, inject_adapter_in_model

    ends = {id(model.get_input_embeddings()), id(model.get_output_embeddings())}
    named = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if id(module) in ends}
    if shared := sorted(named & set(settings.targets)):
        raise ConfigError(
            f"student.lora.targets: {', '.join(shared)} may be shared by embedding and head",
            hint="name layers inside the blocks, or none for all of them",
        )
    shape = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=list(settings.targets) or "all-linear",
        lora_dropout=0.0,
        bias="none",
    )
    try:
        inject_adapter_in_model(shape, model)
    except ValueError as error:
        raise ConfigError(
            f"student.lora.targets: {' '.join(str(error).split())[:200]}", hint="name linear layers of the student"
        ) from error


def merge_lora(model: Any) -> None:  # noqa: ANN401
    """Fold the matrices into the weights and take them out; a model without any stays as it is."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, module.get_base_layer())
    for left in ("peft_config", "active_adapter"):
        if left in vars(model):
            delattr(model, left)
    model.requires_grad_(True)


def check_lora() -> None:
    """Refuse early where the library is not there."""
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise MissingExtra("peft", "distill") from error
