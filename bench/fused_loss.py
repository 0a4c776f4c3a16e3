"""Peak memory and time of the response loss, fused against the plain one, each in its own process, in one run.

    python bench/fused_loss.py [--tokens 2048] [--vocabulary 49152] [--width 576] [--threads 1]

Both compute forward KL from hidden states, with gradients to the student's states and head. Memory is the peak resident
size above that at the start of the step; the head's own gradient, which both must return, is part of it.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import threading
import time


def read_resident():
    """Resident bytes of this process."""
    with open("/proc/self/statm") as stream:  # noqa: PTH123
        return int(stream.read().split()[1]) * resource.getpagesize()


class Peak:
    """The largest resident size while it runs, read every few milliseconds."""

    def __enter__(self):
        self.start = self.most = read_resident()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def watch(self):
        while not self.stopped.wait(0.004):
            self.most = max(self.most, read_resident())

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()

    @property
    def megabytes(self):
        return (self.most - self.start) / 1e6


def plain(torch, hidden, head, teacher_hidden, teacher_head, _labels):
    """What one writes first."""
    log_q = (hidden @ head.T).float().log_softmax(-1)
    log_p = (teacher_hidden @ teacher_head.T).float().log_softmax(-1)
    return torch.nn.functional.kl_div(log_q, log_p, log_target=True, reduction="batchmean")


def fused(_torch, *tensors):
    from curate.distillation.fused import fused_kd_loss

    return fused_kd_loss(*tensors)


def measure(variant, options):
    """One variant, measured here."""
    import torch

    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    make = lambda *shape: torch.randn(*shape, generator=generator) * 0.3  # noqa: E731
    tensors = [
        make(options.tokens, options.width).requires_grad_(),
        make(options.vocabulary, options.width).requires_grad_(),
    ]
    tensors += [make(options.tokens, options.width), make(options.vocabulary, options.width)]
    tensors.append(torch.randint(options.vocabulary, (options.tokens,), generator=generator))
    if variant.endswith("bf16"):
        tensors = [
            t.detach().bfloat16().requires_grad_(t.requires_grad) if t.is_floating_point() else t for t in tensors
        ]
    loss_of = plain if variant.startswith("plain") else fused
    loss_of(torch, tensors[0][:32], tensors[1], tensors[2][:32], tensors[3], tensors[4][:32]).backward()
    tensors[0].grad = tensors[1].grad = None
    with Peak() as peak:
        wall, cpu = time.perf_counter(), time.process_time()
        loss = loss_of(torch, *tensors)
        loss.backward()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    norms = [tensor.grad.float().norm().item() for tensor in tensors[:2]]
    print(json.dumps({"wall_s": wall, "cpu_s": cpu, "peak_mb": peak.megabytes, "loss": loss.item(), "norms": norms}))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--width", type=int, default=576)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variant", default="")
    options = parser.parse_args()
    if options.variant:
        measure(options.variant, options)
        return
    print(f"{platform.processor() or platform.machine()}, load {os.getloadavg()[0]:.1f}; {vars(options)}")
    print(f"{'variant':12}{'wall s':>9}{'CPU s':>9}{'peak MB':>10}{'memory':>9}{'CPU':>7}  loss, gradient norms")
    first = None
    for variant in ("plain", "fused", "plain-bf16", "fused-bf16"):
        command = [sys.executable, __file__, "--variant", variant]
        for name in ("tokens", "vocabulary", "width", "threads"):
            command += [f"--{name}", str(getattr(options, name))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        first = first or row
        ratios = row["peak_mb"] / first["peak_mb"], row["cpu_s"] / first["cpu_s"]
        print(
            f"{variant:12}{row['wall_s']:9.2f}{row['cpu_s']:9.2f}{row['peak_mb']:10.0f}{ratios[0]:9.3f}{ratios[1]:7.2f}"
            f"  {row['loss']:.5f}, {row['norms'][0]:.5f}, {row['norms'][1]:.5f}"
        )


if __name__ == "__main__":
    main()
