"""What ``accelerate launch`` says of FSDP in the environment: FSDP2 as it is done here, and nothing else."""

import os

from curate.errors import ConfigError

REFUSED = {
    "FSDP_OFFLOAD_PARAMS": ("fsdp_offload_params: weights are not kept on the CPU between steps", "set it to false"),
    "FSDP_ACTIVATION_CHECKPOINTING": (
        "fsdp_activation_checkpointing: the distillation has a setting of its own for it",
        "set it to false, and gradient_checkpointing to true in the distillation's config",
    ),
}
"""By environment variable, what a launch may ask for that would not happen, and what to do."""


def fsdp_launched() -> bool:
    """Whether accelerate was told to shard.

    Raises:
        ConfigError: FSDP1, or an option that would be ignored.
    """
    if not told("ACCELERATE_USE_FSDP"):
        return False
    version = os.environ.get("FSDP_VERSION", "1")
    if version != "2":
        raise ConfigError(
            f"accelerate launch: FSDP version {version} is asked for, and only FSDP2 is done",
            hint="launch with examples/accelerate/fsdp2.yaml, which has fsdp_version: 2",
        )
    for name, (what, hint) in REFUSED.items():
        if told(name):
            raise ConfigError(f"accelerate launch: {what}", hint=hint)
    if os.environ.get("FSDP_RESHARD_AFTER_FORWARD", "true").casefold() in {"false", "no_shard", "shard_grad_op"}:
        raise ConfigError(
            "accelerate launch: fsdp_reshard_after_forward: layers are let go of after the forward pass",
            hint="set it to true, or launch with examples/accelerate/gpus.yaml where the models fit whole",
        )
    policy = os.environ.get("FSDP_AUTO_WRAP_POLICY", "")
    if policy not in ("", "TRANSFORMER_BASED_WRAP"):
        raise ConfigError(
            f"accelerate launch: fsdp_auto_wrap_policy: {policy} is asked for, and layers are what is sharded",
            hint="set it to TRANSFORMER_BASED_WRAP",
        )
    return True


def told(name: str) -> bool:
    """Whether a variable of the environment says yes."""
    return os.environ.get(name, "").casefold() in {"1", "true", "yes"}
