"""Memory and time of teachers and students by formula, and the formulas against what is measured here.

    python bench/sizing.py [--tflops 400] [--tbytes 3] [--processes 8] [--config FOLDER/config.json]
    python bench/sizing.py --measure       measure the points again, each model in its own process, one thread

Measured on the embedded teacher and on SmolLM2-135M, which an earlier bench has left on this machine; points are kept
in ``bench/results/sizing.json``. Speed and bandwidth are yours to state; the defaults are assumptions about one card.
"""

import argparse
import json
import sys
from pathlib import Path

from machine import RESULTS, describe, in_a_child, markdown, write_table
from sizes import (
    Shape,
    all_activations,
    cache_bytes,
    forward_operations,
    gathered_layers,
    kv_bytes,
    shape_of,
    sharded_step_bytes,
    sharded_teacher_bytes,
    step_bytes,
    student_fixed,
    student_moving,
    weight_bytes,
)
from sizing_points import POINTS, measure_point

KNOWN = RESULTS / "sizing.json"
GPU_LOGITS = 2 << 30
"""``fused.CHUNK_BYTES`` of a GPU."""
BATCH = 2048
PROMPT, ANSWER, ASKED = 100, 64, 64
"""Tokens of a prompt, of an answer; requests decoded together."""
LLAMA_1B = Shape(16, 2048, 8192, 32, 8, 64, 128_256, tied=True)
LLAMA_70B = Shape(80, 8192, 28_672, 64, 8, 128, 128_256, tied=False)
MISTRAL_7B = Shape(32, 4096, 14_336, 32, 8, 128, 32_000, tied=False)
TEACHERS = {
    "1B (Llama 3.2)": (LLAMA_1B, "4 of its 16 layers", LLAMA_1B.cut(4)),
    "7B (Mistral 0.1)": (MISTRAL_7B, "8 of its 32 layers", MISTRAL_7B.cut(8)),
    "70B (Llama 3.1)": (LLAMA_70B, "the 1B above", LLAMA_1B),
}


def points_table(points):
    """Formula against measurement."""
    lines = []

    def line(point, what, told, seen, unit=1e6, digits=2):
        lines.append(
            [point["name"], what, f"{told / unit:,.{digits}f}", f"{seen / unit:,.{digits}f}", f"{told / seen - 1:+.1%}"]
        )

    for point in points:
        shape = Shape(**point["shape"])
        student, tokens = shape.cut(point["layers"]), 8 * 128
        for one, seen in zip((shape, student), point["parameters"], strict=True):
            line(point, f"parameters, {one.layers} layers, 10⁶", one.parameters, seen, digits=3)
        for held, seen in point["rounded"].items():
            if seen is not None:
                line(point, f"weights held in {held}, MB", weight_bytes(shape, held), seen)
        line(point, "keys and values, fp32, bytes a token", kv_bytes(shape, 4), point["kv"], 1, 0)
        for precision in ("fp32", "bf16"):
            told, seen = all_activations(student, tokens, precision), point[f"saved {precision}"]
            line(point, f"kept for the backward pass, {precision}, MB", told + saved_more(student, precision), seen)
            told = student_moving(student, shape, tokens, precision, cpu_logits(shape, tokens // 2, precision))
            seen = point[f"training {precision}"]
            line(point, f"a training step, beside weights and moments, {precision}, MB", told, seen)
    return markdown(["model", "what", "formula", "measured", "error"], lines)


def cpu_logits(shape, rows, precision):
    """Both models' logits of one chunk of rows, and the five tensors of the piece of it that is worked on."""
    from curate.distillation.chunks import TILE_BYTES
    from curate.distillation.fused import choose_chunk

    rows = min(rows, choose_chunk(shape.vocabulary))
    return 2 * rows * shape.vocabulary * (2 if precision == "bf16" else 4) + 5 * TILE_BYTES


def saved_more(student, precision):
    """bf16 copies of the layers' matrices, kept as well."""
    return 2 * student.body if precision == "bf16" else 0


def times_table(points):
    lines = []
    for point in points:
        shape, times = Shape(**point["shape"]), point["times"]
        work = forward_operations(shape, 1024, 1024, 128)
        read = step_bytes(shape, 4)
        pairs = (
            ("reading 8 × 128 tokens", work, f"{work / 1e9:.1f} GFLOP", times["flops"], "GFLOP/s", times["read"]),
            ("one decoded token", read, f"{read / 1e6:.0f} MB", times["bandwidth"], "GB/s", times["token"]),
        )
        for what, amount, told, speed, unit, seen in pairs:
            took = amount / speed
            name = point["name"]
            lines.append(
                [name, what, told, f"{speed / 1e9:.0f} {unit}", f"{took:.4f}", f"{seen:.4f}", f"{took / seen:.0%}"]
            )
    return markdown(["model", "what", "work", "machine", "formula, CPU s", "measured, CPU s", "share reached"], lines)


def gib(number):
    return f"{number / 2**30:,.1f}"


def teacher_table(shapes):
    head = [
        "teacher",
        "parameters, 10⁹",
        "fp32",
        "bf16",
        "8bit",
        "4bit",
        "KV, KiB a token, bf16",
        f"KV of {ASKED} × 1,024",
    ]
    lines = []
    for name, shape in shapes.items():
        weights = [gib(weight_bytes(shape, held)) for held in ("fp32", "bf16", "8bit", "4bit")]
        kv = kv_bytes(shape)
        lines.append([name, f"{shape.parameters / 1e9:.2f}", *weights, f"{kv / 1024:.0f}", gib(kv * ASKED * 1024)])
    return "GiB unless said.\n\n" + markdown(head, lines)


def student_table():
    head = [
        "student",
        "of",
        "parameters, 10⁹",
        "weights, gradients, Adam",
        "activations",
        "checkpointed",
        "step in all",
        "with the teacher, bf16",
        "with it in 4 bits",
    ]
    lines = []
    for name, (teacher, what, student) in TEACHERS.items():
        whole = student_fixed(student) + student_moving(student, teacher, BATCH, "bf16", GPU_LOGITS)
        lines.append([
            what, name, f"{student.parameters / 1e9:.2f}", gib(16 * student.parameters),
            *(gib(all_activations(student, BATCH, "bf16", checkpointing=less)) for less in (False, True)),
            gib(whole), gib(whole + weight_bytes(teacher, "bf16")), gib(whole + weight_bytes(teacher, "4bit")),
        ])  # fmt: skip
    return f"GiB; {BATCH:,} tokens a batch, bf16 autocast over fp32 weights, 2 GiB of logits.\n\n" + markdown(
        head, lines
    )


def sharded_table(processes):
    """What one of several processes holds, student and bf16 teacher together."""
    head = [
        "student",
        "of",
        "one process",
        f"{processes}, data parallel",
        f"{processes}, fsdp2",
        "and `gradient_checkpointing`",
    ]
    lines = []
    for name, (teacher, what, student) in TEACHERS.items():

        def spread(checkpointing, student=student, teacher=teacher):
            own = sharded_step_bytes(student, teacher, BATCH, processes, "bf16", GPU_LOGITS, checkpointing)
            return own + sharded_teacher_bytes(teacher, processes, 2) + gathered_layers(teacher, 2)

        def whole(tokens, student=student, teacher=teacher):
            step = student_moving(student, teacher, tokens, "bf16", GPU_LOGITS)
            return student_fixed(student) + step + weight_bytes(teacher, "bf16")

        told = whole(BATCH), whole(BATCH / processes), spread(False), spread(True)
        lines.append([what, name, *(gib(value) for value in told)])
    return (
        f"GiB a process, {BATCH:,} tokens a batch over all processes, bf16 autocast over fp32 weights, 2 GiB of "
        "logits, the teacher in bf16.\n\n" + markdown(head, lines)
    )


def time_table(given):
    """Hours of one card for a million prompts."""
    flops, bandwidth = given.tflops * 1e12, given.tbytes * 1e12
    head = [
        "teacher",
        "student",
        "answers",
        "read once more",
        "student, one epoch",
        "live epoch",
        "cache, GB, k = 64",
        "and one mapped state",
    ]
    lines = []
    for name, (teacher, what, student) in TEACHERS.items():
        tokens = (PROMPT + ANSWER) * 1e6
        reading = forward_operations(teacher, tokens, ANSWER * 1e6, (PROMPT + ANSWER) / 2) / flops
        learning = 3 * forward_operations(student, tokens, ANSWER * 1e6, (PROMPT + ANSWER) / 2) / flops
        decoded = step_bytes(teacher, 2) + kv_bytes(teacher) * ASKED * (PROMPT + ANSWER / 2)
        step = max(decoded / bandwidth, forward_operations(teacher, ASKED, ASKED, PROMPT + ANSWER / 2) / flops)
        asking = forward_operations(teacher, PROMPT * 1e6, 0, PROMPT / 2) / flops + step * ANSWER * 1e6 / ASKED
        states = (cache_bytes(teacher, mapped=1) - cache_bytes(teacher)) * tokens
        top = cache_bytes(teacher) * ANSWER * 1e6
        hours = [f"{seconds / 3600:,.2f}" for seconds in (asking, reading, learning, reading + learning)]
        lines.append([name, what, *hours, f"{top / 1e9:.0f}", f"{(top + states) / 1e9:.0f}"])
    return markdown(head, lines)


def report(known, given):
    shapes = {name: teacher for name, (teacher, _, _) in TEACHERS.items()}
    if given.config:
        shapes[str(given.config.parent.name)] = shape_of(json.loads(given.config.read_text(encoding="utf-8")))
    text = ["# Memory and time by formula", f"{known['machine']}; made by `python bench/sizing.py`."]
    text += ["## Teachers", teacher_table(shapes), "## Students", student_table()]
    text += ["## In shards", sharded_table(given.processes)]
    text += [
        "## A million prompts",
        f"Hours of one card that does {given.tflops:g} TFLOP/s in bf16 and reads {given.tbytes:g} TB/s all the time: "
        "assumed, and given on the command line. "
        f"{PROMPT} tokens a prompt, {ANSWER} an answer, {ASKED} decoded together.",
        time_table(given),
    ]
    if known["points"]:
        text += ["## Formulas against measurements", points_table(known["points"])]
        text += ["Times of one thread, the machine shared.", times_table(known["points"])]
    return "\n\n".join(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--tflops", type=float, default=400.0, help="what a card sustains, 10¹² operations a second")
    parser.add_argument("--tbytes", type=float, default=3.0, help="what its memory reads, 10¹² bytes a second")
    parser.add_argument("--processes", type=int, default=8, help="that share the models in shards")
    parser.add_argument("--config", type=Path, help="config.json of another teacher of the Llama family")
    parser.add_argument("--child")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(measure_point(given.child)))
        return
    known = json.loads(KNOWN.read_text()) if KNOWN.is_file() else {"machine": "", "points": []}
    if given.measure:
        found = [in_a_child(__file__, "--child", name) for name in POINTS]
        if any("failed" in point for point in found):
            sys.exit("a point could not be measured; SmolLM2-135M is fetched by bench/distillation.py")
        known = {"machine": describe("torch", "transformers"), "points": found}
        KNOWN.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")
    write_table("sizing", report(known, given))


if __name__ == "__main__":
    main()
