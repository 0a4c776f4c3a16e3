"""The response loss of curate and its peers, one measured in this process."""

import time
from contextlib import nullcontext

from machine import Peak


def load_plain():
    """What one writes first."""
    from torch.nn import functional

    def loss(hidden, head, teacher_hidden, teacher_head, _labels):
        log_q = (hidden @ head.T).float().log_softmax(-1)
        log_p = (teacher_hidden @ teacher_head.T).float().log_softmax(-1)
        return functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean")

    return loss


def load_trl():
    """TRL's GKD loss at β = 0 on whole logits, as its trainer calls it."""
    import torch
    from trl.experimental.gkd import GKDTrainer

    def loss(hidden, head, teacher_hidden, teacher_head, labels):
        # In bf16 under autocast, as its trainer runs: the softmax is then in fp32, like everybody's.
        context = torch.autocast("cpu", torch.bfloat16) if hidden.dtype == torch.bfloat16 else nullcontext()
        with context:
            with torch.no_grad():
                teacher_logits = teacher_hidden @ teacher_head.T
            logits = hidden @ head.T
            return GKDTrainer.generalized_jsd_loss(logits[None], teacher_logits[None], labels=labels[None], beta=0)

    return loss


def load_liger():
    """Liger's chunked linear + JSD at β = 0, rows in chunks of 256, not compiled: on a CPU there is no other way."""
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    options = {"weight_hard_loss": 0.0, "weight_soft_loss": 1.0, "beta": 0.0, "compiled": False, "chunk_size": 256}
    return LigerFusedLinearJSDLoss(**options)


def load_curate():
    from curate.distillation.fused import fused_kd_loss

    return fused_kd_loss


LOSSES = {"plain": load_plain, "TRL": load_trl, "Liger": load_liger, "curate": load_curate}


def measure_loss(variant, options):
    """One variant, measured here."""
    import torch

    torch.set_num_threads(options.threads)
    name, _, precision = variant.removeprefix("loss ").partition(" ")
    loss_of = LOSSES[name]()
    generator = torch.Generator().manual_seed(0)
    make = lambda *shape: torch.randn(*shape, generator=generator) * 0.3  # noqa: E731
    shapes = [(options.tokens, options.width), (options.vocabulary, options.width)] * 2
    tensors = [make(*shape).to(torch.bfloat16 if precision == "bf16" else torch.float32) for shape in shapes]
    for tensor in tensors[:2]:
        tensor.requires_grad_()
    tensors.append(torch.randint(options.vocabulary, (options.tokens,), generator=generator))
    loss_of(tensors[0][:32], tensors[1], tensors[2][:32], tensors[3], tensors[4][:32]).backward()
    tensors[0].grad = tensors[1].grad = None
    with Peak() as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        loss = loss_of(*tensors)
        loss.backward()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    norms = [tensor.grad.float().norm().item() for tensor in tensors[:2]]
    return {"wall_s": wall, "cpu_s": cpu, "peak_mb": peak.megabytes, "loss": loss.item(), "norms": norms}
