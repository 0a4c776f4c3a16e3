"""Build the teacher's byte-level BPE tokenizer and its chat template."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, ASK = "<|pad|>", "<|message|>", "<|end|>", "<|intent|>"
CHAT_TEMPLATE = (
    "{% for turn in messages %}"
    "{% if turn['role'] == 'user' %}{{ bos_token + turn['content'] | trim }}"
    "{% elif turn['role'] == 'assistant' %}{{ '" + ASK + "' + turn['content'] | trim + eos_token }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '" + ASK + "' }}{% endif %}"
)


def build_tokenizer(texts: Iterable[str], size: int, context: int) -> PreTrainedTokenizerFast:
    """A lower-casing byte-level BPE tokenizer of ``size`` entries, with the chat template the model is trained on."""
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    # The space that add_prefix_space puts before an answer is taken off again, so text comes back as it went in.
    backend.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[PAD, BOS, EOS, ASK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        extra_special_tokens=[ASK],
        model_max_length=context,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
