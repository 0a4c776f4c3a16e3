"""Memory and arithmetic of models of the Llama family, by formula; ``bench/sizing.py`` holds them against measurements.

Sources: 2 operations a parameter and token forward, 6 for training (Kaplan et al. 2020, arXiv 2001.08361, section 2.1);
16 bytes a parameter with Adam (Rajbhandari et al. 2020, ZeRO, arXiv 1910.02054, section 3.1); NF4's 4 bits and one fp32
scale for every 64 weights (Dettmers et al. 2023, QLoRA, arXiv 2305.14314, section 3); LLM.int8's 8 bits and one fp32
scale a row (Dettmers et al. 2022, arXiv 2208.07339). Activations are counted from the operations of the layer.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """What a config.json tells of a model's size."""

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    tied: bool

    @property
    def attended(self):
        return self.heads * self.head

    @property
    def kept(self):
        return self.kv_heads * self.head

    @property
    def layer_matrices(self):
        """Weights of one layer that are multiplied with a token."""
        return self.width * (2 * self.attended + 2 * self.kept + 3 * self.inner)

    @property
    def embedding(self):
        return self.vocabulary * self.width

    @property
    def body(self):
        """Weights of all layers that are multiplied with a token."""
        return self.layers * self.layer_matrices

    @property
    def parameters(self):
        norms = (2 * self.layers + 1) * self.width
        return self.body + norms + self.embedding * (1 if self.tied else 2)

    def cut(self, layers):
        """The same with fewer layers."""
        return Shape(**{**self.__dict__, "layers": layers})


def shape_of(config):
    """The shape a ``config.json`` of the Llama family tells."""
    width, heads = config["hidden_size"], config["num_attention_heads"]
    return Shape(
        layers=config["num_hidden_layers"],
        width=width,
        inner=config["intermediate_size"],
        heads=heads,
        kv_heads=config.get("num_key_value_heads") or heads,
        head=config.get("head_dim") or width // heads,
        vocabulary=config["vocab_size"],
        tied=bool(config.get("tie_word_embeddings", False)),
    )


WEIGHT = {"fp32": 4.0, "bf16": 2.0, "8bit": 1.0, "4bit": 0.5}


def weight_bytes(shape, held):
    """Bytes of the weights; what is not a layer's matrix stays bf16 where those are rounded to 8 or 4 bits."""
    if held in ("fp32", "bf16"):
        return shape.parameters * WEIGHT[held]
    rows = shape.layers * (2 * shape.width + shape.attended + 2 * shape.kept + 2 * shape.inner)
    scales = 4 * rows if held == "8bit" else 4 * shape.body / 64
    return shape.body * WEIGHT[held] + scales + (shape.parameters - shape.body) * 2


def kv_bytes(shape, size=2):
    """Bytes of keys and values a token of context."""
    return 2 * shape.layers * shape.kept * size


def activation_bytes(shape, precision):
    """Bytes a token and layer that the backward pass needs: norms, attention without its map, the gated inner layer.

    fp32: 4·(6·H + 2·A + 2·K + 4·I + heads + 2). bf16 autocast: norms stay fp32, every matrix product keeps its own cast
    of its input: 4·(4·H + heads + 2) + 2·(5·H + 2·A + 2·K + 4·I).
    """
    few = shape.heads + 2
    if precision == "fp32":
        return 4 * (6 * shape.width + 2 * shape.attended + 2 * shape.kept + 4 * shape.inner + few)
    half = 5 * shape.width + 2 * shape.attended + 2 * shape.kept + 4 * shape.inner
    return 4 * (4 * shape.width + few) + 2 * half


def all_activations(shape, tokens, precision, checkpointing=False):
    """Bytes of a batch, with the last norm and the tokens' numbers.

    Checkpointed, it is each layer's input and one whole layer.
    """
    layer = activation_bytes(shape, precision) * tokens
    layers = shape.layers * 4 * shape.width * tokens + layer if checkpointing else shape.layers * layer
    return layers + (4 * (2 * shape.width + 1) + 8) * tokens


def loss_bytes(student, teacher, precision, logits):
    """Bytes of the fused loss: logits, the head's gradient, and under bf16 a copy of both heads."""
    copies = 2 * (student.embedding + teacher.embedding) if precision == "bf16" else 0
    return logits + 4 * student.embedding + copies


def student_fixed(shape):
    """Weights and Adam's two moments, fp32."""
    return 12 * shape.parameters


def student_moving(student, teacher, tokens, precision, logits, checkpointing=False):
    """The most that lives beside them: before the backward pass activations and the loss, after it all gradients.

    Where embedding and head are one matrix, the embedding's own gradient is made before it is added to the head's.
    Under bf16 autocast a copy of every matrix lives through both passes. Half the tokens are taken to be answers, whose
    last states of both models are held apart.
    """
    copies = 2 * student.body if precision == "bf16" else 0
    loss = loss_bytes(student, teacher, precision, logits) + 4 * 1.5 * tokens * (student.width + teacher.width)
    before = all_activations(student, tokens, precision, checkpointing) + loss
    after = 4 * student.parameters + (4 * student.embedding if student.tied else 0)
    return copies + max(before, after)


def forward_operations(shape, tokens, heads, length):
    """Operations of reading: two a weight and token, the head where it is asked, causal attention over ``length``."""
    attention = 2 * shape.layers * shape.attended * length * tokens
    return 2 * shape.body * tokens + 2 * shape.embedding * heads + attention


def step_bytes(shape, size):
    """Bytes of weights that one decoded token reads; the embedding is looked up, the head read whole."""
    return (shape.body + shape.embedding) * size


def cache_bytes(shape, top_k=64, mapped=0):
    """Bytes a token of a cached teacher: k numbers (2 or 4 bytes) and log-probabilities, one bucket, mapped states."""
    return (4 if shape.vocabulary < 2**16 else 6) * top_k + 2 + 2 * shape.width * mapped


def sharded_student_bytes(shape, processes):
    """Weights, gradients and Adam's moments of one process between steps, where each holds a shard (FSDP2)."""
    return 16 * shape.parameters / processes


def outermost(shape):
    """Weights of the group that is gathered for a whole step: embedding, last norm, and a head of its own."""
    return shape.embedding * (1 if shape.tied else 2) + shape.width


def sharded_teacher_bytes(shape, processes, size):
    """A frozen teacher of one process, ``size`` bytes a weight: its layers in shards; embedding and head stay whole."""
    if processes == 1:
        return shape.parameters * size
    return ((shape.parameters - outermost(shape)) / processes + outermost(shape) * (1 + 1 / processes)) * size


def gathered_layers(shape, size=4):
    """What is gathered at a time of a model's layers: one, and the next on its way."""
    return size * 2 * (shape.layer_matrices + 2 * shape.width)


def sharded_step_bytes(student, teacher, tokens, processes, precision, logits, checkpointing=False):
    """The most that a process holds in a step: shards, what is gathered, gradients before they are cut, activations.

    ``tokens`` are those of a batch in all; each process reads its share. The outermost group's gradient is whole until
    the backward pass ends, twice where embedding and head are one matrix, and one layer's is. Under bf16 autocast the
    copies of matrices that a backward pass needs are whole, unless layers are computed again.
    """
    own = tokens / processes
    copies = 0
    if precision == "bf16":
        copies = 2 * (student.layer_matrices if checkpointing else student.body)
    layer = 4 * (student.layer_matrices + 2 * student.width)
    gradients = 4 * (outermost(student) + (student.embedding if student.tied else 0)) + layer
    loss = loss_bytes(student, teacher, precision, logits) + 4 * 1.5 * own * (student.width + teacher.width)
    activations = all_activations(student, own, precision, checkpointing)
    shards = sharded_student_bytes(student, processes)
    gathered = 4 * outermost(student) + gathered_layers(student)
    return shards + gathered + copies + max(activations + loss, gradients)
