"""Teachers and their students measured, each in a process of its own, for ``bench/sizing.py --measure``."""

import importlib.util
import sys
import time
from pathlib import Path

from sizes import shape_of

POINTS = {"embedded": (0, 7), "smollm2": (0, 6, 12, 18, 24, 29)}


def load_point(name, **options):
    import curate
    from curate.distillation.config import LoadingConfig
    from curate.distillation.loading import load_model
    from curate.distillation.smollm2 import fetch_smollm2

    embedded = Path(curate.__file__).parent / "embedded" / "intent_teacher"
    folder = embedded if name == "embedded" else fetch_smollm2(offline=True)
    return load_model(str(folder), loading=LoadingConfig(**options))


def held_bytes(name, held):
    """Bytes of a teacher's weights and their scales as they are held; None where bitsandbytes is not installed."""
    if held == "bf16":
        return sum(one.nbytes for one in load_point(name, dtype=held)[0].parameters())
    if importlib.util.find_spec("bitsandbytes") is None:
        return None
    total = 0
    for one in load_point(name, dtype="bf16", quantize=held)[0].parameters():
        state = getattr(one, "quant_state", None)
        scales = getattr(one, "SCB", None) if state is None else state.absmax
        total += one.nbytes + (0 if scales is None else scales.nbytes)
    return total


def measure_point(name):
    """One teacher and its student, measured in this process."""
    import torch

    from curate.distillation.student import keep_layers

    torch.manual_seed(0)
    teacher, _ = load_point(name)
    teacher.eval().requires_grad_(False)
    config = teacher.config.to_dict()
    found = {"name": name, "shape": shape_of(config).__dict__, "layers": len(POINTS[name])}
    found["parameters"] = [sum(one.numel() for one in teacher.parameters())]
    student = keep_layers(teacher, POINTS[name])
    found["parameters"].append(sum(one.numel() for one in student.parameters()))
    ids = torch.randint(5, config["vocab_size"] - 5, (8, 128))
    with torch.inference_mode():
        cache = teacher(input_ids=ids[:1], use_cache=True).past_key_values
        found["kv"] = sum(one.keys.nbytes + one.values.nbytes for one in cache.layers) / ids.shape[1]
    found["times"] = measure_times(teacher, ids)
    for precision in ("fp32", "bf16"):
        found[f"saved {precision}"] = saved_bytes(student, ids, precision)
        found[f"training {precision}"] = training_bytes(student, teacher, ids, precision)
    found["rounded"] = {held: held_bytes(name, held) for held in ("bf16", "8bit", "4bit")}
    return found


def measure_times(teacher, ids):
    """CPU seconds of reading and of a decoded token, with what the machine multiplies and reads just then."""
    import torch

    def seconds(work, turns):
        work()
        took = []
        for _ in range(turns):
            started = time.process_time()
            work()
            took.append(time.process_time() - started)
        return sorted(took)[turns // 2]

    one, long = torch.randn(1024, 1024), torch.randn(32 << 20)
    with torch.inference_mode():
        state = teacher(input_ids=ids[:1, :32], use_cache=True).past_key_values
        token = ids[:1, :1]
        return {
            "flops": 2 * 1024**3 / seconds(lambda: one @ one, 9),
            "read": seconds(lambda: teacher(input_ids=ids), 3),
            "bandwidth": long.nbytes / seconds(long.sum, 9),
            "token": seconds(lambda: teacher(input_ids=token, past_key_values=state, use_cache=True), 15),
        }


def saved_bytes(student, ids, precision):
    """Bytes that the student's layers keep for the backward pass; the weights do not count."""
    import torch

    known = {one.untyped_storage().data_ptr() for one in [*student.parameters(), *student.buffers()]}
    kept, sizes = [], {}

    def pack(tensor):
        place = tensor.untyped_storage()
        if place.data_ptr() not in known:
            kept.append(tensor)
            sizes[place.data_ptr()] = place.nbytes()
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        student.get_decoder()(input_ids=ids)
    return sum(sizes.values())


def training_bytes(student, teacher, ids, precision):
    """The most bytes of tensors alive beside weights and moments in one step of curate's trainer."""
    import tempfile

    from curate.distillation.batches import Example
    from curate.distillation.config import parse_config
    from curate.distillation.footprint import _AliveTensors
    from curate.distillation.stack import LossStack
    from curate.distillation.trainer import Trainer

    rows, length = ids.shape
    half = length // 2
    examples = [Example(str(row), tuple(line[:half]), tuple(line[half:])) for row, line in enumerate(ids.tolist())]
    settings = {"losses": {"task": 1, "kd": 1}, "precision": precision, "batch_tokens": rows * length, "epochs": 2}
    config = parse_config(settings)
    stack = LossStack(student, teacher, config.losses)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(stack, examples, 0, config, checkpoints=Path(folder))
        if len(trainer.plan[0]) != 1 or len(trainer.plan[0][0]) != rows:
            sys.exit("the rows do not make one batch")
        student.train()
        trainer._step(time.perf_counter())
        trainer.optimizer.zero_grad(set_to_none=True)
        with _AliveTensors(student) as alive:
            moments = [one for state in trainer.optimizer.state.values() for one in state.values()]
            alive.known |= {one.untyped_storage().data_ptr() for one in [*teacher.parameters(), *moments]}
            trainer._step(time.perf_counter())
    stack.close()
    return alive.peak
