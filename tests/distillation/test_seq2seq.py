"""A tiny T5 and a tiny BART through the same trainer; no small ones with trained weights can be had without the hub."""

import copy

import pytest
import torch
from tokenizers import processors
from transformers import (
    AutoModelForSeq2SeqLM,
    BartConfig,
    BartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from curate.distillation.answers import generate_answers
from curate.distillation.batches import Encoder, collate
from curate.distillation.chunks import cap
from curate.distillation.config import parse_config
from curate.distillation.distill import distill
from curate.distillation.footprint import measure_footprints
from curate.distillation.layers import map_features, map_maps
from curate.distillation.loading import find_start, load_model
from curate.distillation.lora import add_lora, merge_lora
from curate.distillation.results import TrainingReport
from curate.distillation.sides import find_layers
from curate.distillation.signals import Probe, find_head
from curate.distillation.stack import LossStack, count_examples
from curate.distillation.student import export_student, keep_layers
from curate.errors import ConfigError
from curate.licenses.decision import Case
from tests.distillation.counting import count_totals

from .classroom import QUESTIONS, approve, make_config, make_model, make_rows, make_tokenizer

SIZES = {"d_model": 32, "d_kv": 16, "d_ff": 64, "num_heads": 2, "num_layers": 3, "num_decoder_layers": 3}
ALL = {"task": 1.0, "kd": 1.0, "feature": 0.5, "attention": 0.1}


def make_t5(vocabulary=320, seed=0, **settings):
    torch.manual_seed(seed)
    ids = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0}
    config = T5Config(vocab_size=vocabulary, dropout_rate=0.0, **(SIZES | ids | settings))
    return T5ForConditionalGeneration(config).eval()


def make_bart(vocabulary=320, seed=0):
    torch.manual_seed(seed)
    config = BartConfig(
        vocab_size=vocabulary, d_model=32, encoder_layers=2, decoder_layers=3, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=64, dropout=0.0,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=None,
    )  # fmt: skip
    model = BartForConditionalGeneration(config).eval()
    torch.nn.init.normal_(model.final_logits_bias)
    return model


FAMILIES = {
    "t5, one matrix, scaled": make_t5,
    "t5 with a head of its own": lambda: untied(make_t5(tie_word_embeddings=False, feed_forward_proj="gated-gelu")),
    "bart": make_bart,
}


def untied(model):
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight))
    return model


@pytest.fixture(scope="module")
def reads():
    tokenizer = make_tokenizer([text for pair in QUESTIONS for text in pair], template=None)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 2)])
    return Encoder(tokenizer, max_prompt_tokens=40, max_answer_tokens=8, start=0)


@pytest.fixture(scope="module")
def examples(reads):
    return reads.encode([str(n) for n in range(len(QUESTIONS))], *zip(*QUESTIONS, strict=True))


@pytest.fixture(scope="module")
def t5_folder(tmp_path_factory, reads, examples):
    """A T5 that knows the capitals."""
    model, batch = make_t5(), collate(examples, 0)
    labels = batch.input_ids[:, 1:].masked_fill(~batch.mask[:, 1:], -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(200):
        optimizer.zero_grad()
        model(input_ids=batch.prompt_ids, attention_mask=batch.prompt_mask.long(), labels=labels).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("t5")
    model.save_pretrained(folder)
    reads.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def classroom(tmp_path, t5_folder):
    return approve(tmp_path, t5_folder, make_rows())


def teach(classroom, config, out=None, **options):
    tickets = classroom.teacher_ticket, classroom.dataset_ticket
    return distill(*tickets, config, root=classroom.root, out=out or classroom.root / "out", **options)


def test_the_encoder_reads_the_prompt_and_the_decoder_the_answer(reads, examples):
    batch = collate(examples[:3], 0)
    assert batch.prompt_ids.shape == batch.prompt_mask.shape
    assert batch.prompt_ids[0, batch.prompt_mask[0]].tolist() == list(examples[0].prompt)
    assert examples[0].prompt[-1] == reads.end, "what an encoder reads ends with the end token"
    assert batch.input_ids[:, 0].eq(0).all(), "the decoder starts from its start token"
    assert batch.labels.tolist() == [token for example in examples[:3] for token in example.answer]
    assert count_examples(examples[:3]) == count_totals([batch])


@pytest.mark.parametrize("name", FAMILIES)
def test_states_and_head_give_the_models_own_logits(name, examples):
    model, batch = FAMILIES[name](), collate(examples[:4], 0)
    head = find_head(model)
    with torch.no_grad():
        states, weight = head.split(Probe(model)(batch).last[batch.predicts], 320)
        expected = model(
            input_ids=batch.prompt_ids, attention_mask=batch.prompt_mask.long(), decoder_input_ids=batch.input_ids
        ).logits[batch.predicts]
    torch.testing.assert_close(cap(states @ weight.T, head.scale, head.softcap), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("count", [4, 1], ids=["padded", "unpadded"])
def test_captured_maps_of_encoder_decoder_and_cross_equal_eager_ones(name, count, examples):
    model, batch = FAMILIES[name](), collate(examples[:count], 0)
    eager = copy.deepcopy(model)
    eager.set_attn_implementation("eager")
    with torch.no_grad():
        expected = eager(
            input_ids=batch.prompt_ids,
            attention_mask=batch.prompt_mask.long(),
            decoder_input_ids=batch.input_ids,
            decoder_attention_mask=batch.mask.long(),
            output_attentions=True,
            output_hidden_states=True,
        )
        probe = Probe(
            model,
            hidden={"encoder": [0, 1], "decoder": [0, 2]},
            maps={"encoder": [1], "decoder": [0, 2], "cross": [1]},
        )
        signals = probe(batch)
        probe.close()
    wanted = {"encoder": expected.encoder_attentions, "decoder": expected.decoder_attentions}
    wanted["cross"] = expected.cross_attentions
    queries = {"encoder": batch.prompt_mask, "decoder": batch.mask, "cross": batch.mask}
    for side, maps in signals.attentions.items():
        for layer, captured in maps.items():
            real = queries[side][:, None, :, None].expand_as(captured)
            torch.testing.assert_close(captured[real], wanted[side][layer][real], rtol=1e-5, atol=1e-6)
    assert {side: sorted(maps) for side, maps in signals.attentions.items()} == {
        "encoder": [1], "decoder": [0, 2], "cross": [1],
    }  # fmt: skip
    assert (signals.attentions["decoder"][2].triu(1) * batch.mask[:, None, :, None]).abs().max() == 0
    for side, whole in (("encoder", expected.encoder_hidden_states), ("decoder", expected.decoder_hidden_states)):
        for index, states in signals.states[side].items():
            real = queries[side]
            torch.testing.assert_close(states[real], whole[index][real], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_keeping_every_layer_gives_the_same_model_before_and_after_export(name, reads, examples, tmp_path):
    teacher, batch = FAMILIES[name](), collate(examples[:4], 0)
    student = keep_layers(teacher, tuple(range(len(find_layers(teacher)[1])))).eval()
    export_student(student, reads.tokenizer, tmp_path / "student")
    again = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "student").eval()
    inputs = {"input_ids": batch.prompt_ids, "attention_mask": batch.prompt_mask.long()}
    with torch.no_grad():
        logits = [model(**inputs, decoder_input_ids=batch.input_ids).logits for model in (teacher, student, again)]
    torch.testing.assert_close(logits[1], logits[0])
    torch.testing.assert_close(logits[2], logits[0])


def test_layers_of_both_sides_are_kept_and_the_position_bias_moves_to_the_first_one(examples):
    teacher = make_t5()
    student = keep_layers(teacher, (1, 2), (0, 2))
    assert [len(find_layers(student, side)[1]) for side in ("encoder", "decoder")] == [2, 2]
    ours, theirs = student.state_dict(), teacher.state_dict()
    assert torch.equal(
        ours["encoder.block.1.layer.0.SelfAttention.q.weight"], theirs["encoder.block.2.layer.0.SelfAttention.q.weight"]
    )
    assert torch.equal(
        ours["decoder.block.0.layer.1.EncDecAttention.q.weight"],
        theirs["decoder.block.1.layer.1.EncDecAttention.q.weight"],
    )
    bias = "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    assert torch.equal(ours[bias], theirs[bias])
    assert len(find_layers(keep_layers(teacher, (1,)), "encoder")[1]) == 3, "an encoder that is not named stays whole"
    with pytest.raises(ConfigError, match=r"keep_encoder_layers.*does not fit"):
        keep_layers(teacher, (0,), (7,))
    with pytest.raises(ConfigError, match="has no encoder"):
        keep_layers(make_model(40), (0,), (0,))


def test_layer_maps_go_by_side():
    depths = {"encoder": 2, "decoder": 2}, {"encoder": 4, "decoder": 6}
    assert map_features("uniform", *depths, {}) == {
        "encoder": ((1, 2, 0.25), (2, 4, 0.25)), "decoder": ((1, 3, 0.25), (2, 6, 0.25)),
    }  # fmt: skip
    assert sorted(map_maps("last-n", *depths, {})) == ["cross", "decoder", "encoder"]
    named = parse_config({"losses": {"attention": {"weight": 1, "layers": {"cross": [[1, 5, 2.0]]}}}}).losses
    assert map_maps(named.attention.layers, *depths, {}) == {"cross": ((1, 5, 2.0),)}
    kept = {"decoder": (0, 5), "encoder": (1, 2)}
    assert map_maps("stitch", *depths, kept)["cross"] == ((0, 0, 1 / 6), (1, 5, 1 / 6))
    with pytest.raises(ConfigError, match="not said whether"):
        map_features(((0, 0, 1.0),), *depths, {})
    with pytest.raises(ConfigError, match=r"layers.cross: these models have no such layers for feature"):
        map_features({"cross": "uniform"}, *depths, {})
    with pytest.raises(ConfigError, match=r"layers.encoder: these models have no such layers"):
        map_features({"encoder": "uniform"}, {"decoder": 2}, {"decoder": 4}, {})
    with pytest.raises(ConfigError, match="one model has an encoder"):
        map_features("uniform", {"decoder": 2}, depths[1], {})


def test_a_copy_of_the_teacher_has_nothing_to_learn_but_the_task(examples):
    teacher = make_t5()
    losses = parse_config({"losses": ALL | {"balance": "off"}}).losses
    stack, batch = LossStack(make_t5(), teacher, losses), collate(examples[:5], 0)
    _, terms = stack(batch, count_totals([batch]))
    stack.close()
    assert terms["kd"].item() == pytest.approx(0, abs=1e-5)
    assert terms["feature"].item() == pytest.approx(0, abs=1e-5)
    assert terms["attention"].item() == pytest.approx(0, abs=1e-5)
    assert terms["task"].item() > 1


def test_splitting_a_batch_changes_neither_terms_nor_gradients(examples):
    teacher, student = make_t5(), keep_layers(make_t5(seed=3), (0, 2), (1,))
    losses = parse_config({"losses": ALL | {"balance": "off"}}).losses
    stack = LossStack(student, teacher, losses, kept=(0, 2), kept_encoder=(1,))
    totals, found = count_examples(examples[:6]), []
    for parts in ([examples[:6]], [examples[:1], examples[1:4], examples[4:6]]):
        student.zero_grad()
        sums = {}
        for part in parts:
            loss, terms = stack(collate(part, 0), totals)
            loss.backward()
            sums = {name: sums.get(name, 0) + float(term) for name, term in terms.items()}
        found.append((sums, [weight.grad.clone() for weight in student.parameters()]))
    stack.close()
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-4)
    for whole, split in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-3, atol=1e-5)


def test_generated_answers_are_those_of_one_at_a_time(t5_folder, reads):
    model = load_model(str(t5_folder))[0].eval()
    prompts = reads.encode_prompts([prompt for prompt, _ in QUESTIONS[:12]])
    together = generate_answers(model, reads, prompts, max_new_tokens=8)
    alone = [generate_answers(model, reads, [prompt], max_new_tokens=8)[0] for prompt in prompts]
    assert together == alone
    assert sum(text == answer for text, (_, answer) in zip(together, QUESTIONS, strict=False)) >= 10
    assert find_start(model) == 0


def test_a_t5_is_distilled_measured_and_read_back(classroom):
    config = make_config(student={"keep_layers": [0, 2], "keep_encoder_layers": [0, 2]}, losses=ALL, epochs=10)
    report = teach(classroom, config)
    assert report.after.kl_to_teacher < 0.5 * report.before.kl_to_teacher
    assert report.answers_from_teacher == report.prompts_trained
    assert set(report.curve[-1].terms) == {"task", "kd", "feature", "attention"}
    assert report.footprints["student"].parameters < report.footprints["teacher"].parameters
    student = AutoModelForSeq2SeqLM.from_pretrained(classroom.root / "out" / "student")
    assert (student.config.num_layers, student.config.num_decoder_layers) == (2, 2)
    assert student.config.scale_decoder_outputs


def test_a_broken_t5_training_goes_on_to_the_same_losses(classroom):
    class Stop(Exception):
        pass

    def break_off(stage, done, total, note=""):
        if stage == "train" and done == 9:
            raise Stop

    config = make_config(losses=ALL, checkpoint_every=4, epochs=3)
    whole = teach(classroom, config, out=classroom.root / "whole")
    with pytest.raises(Stop):
        teach(classroom, config, progress=break_off)
    again = teach(classroom, config, resume=True)
    assert [point.total for point in again.curve] == [point.total for point in whole.curve]
    assert again.student_sha256 == whole.student_sha256


def test_a_t5_teacher_read_once_teaches_what_a_live_one_does(classroom):
    losses = {"task": 1.0, "kd": 1.0, "feature": 0.5, "balance": "off"}
    live = teach(classroom, make_config(losses=losses, epochs=2), out=classroom.root / "live")
    cached = teach(classroom, make_config(losses=losses, epochs=2, signals="cached", cache_top_k=1000))
    for ours, theirs in zip(cached.curve, live.curve, strict=True):
        assert ours.terms == pytest.approx(theirs.terms, rel=0.02)


def test_low_rank_matrices_beside_a_t5_fold_in(reads, examples):
    model, batch = make_t5(), collate(examples[:3], 0)
    before = Probe(model)(batch).last.detach()
    add_lora(model, parse_config({"student": {"keep_layers": [0], "lora": {"rank": 2}}}).student.lora)
    torch.testing.assert_close(Probe(model)(batch).last.detach(), before)
    merge_lora(model)
    torch.testing.assert_close(Probe(model)(batch).last.detach(), before)


def test_a_t5_is_weighed_token_by_token(examples):
    found = measure_footprints({"student": (make_t5(), None)}, examples[0].prompt, rounds=1)["student"]
    assert found.ms_per_token > 0
    assert found.peak_memory_bytes > found.bytes


def test_a_causal_student_learns_from_a_t5_of_the_same_vocabulary(t5_folder, reads, tmp_path):
    base = tmp_path / "base"
    classroom = approve(tmp_path, t5_folder, make_rows(), case=Case(student_base=str(base)))
    make_model(len(reads.tokenizer)).save_pretrained(base)
    reads.tokenizer.save_pretrained(base)
    losses = {"task": 1.0, "kd": 1.0}
    report = teach(classroom, make_config(student={"base": str(base)}, losses=losses, epochs=12), out=tmp_path / "one")
    assert report.curve[-1].terms["kd"] < 0.7 * report.curve[0].terms["kd"]
    with pytest.raises(ConfigError, match="one model has an encoder"):
        teach(
            classroom, make_config(student={"base": str(base)}, losses=losses | {"feature": 1.0}), out=tmp_path / "two"
        )


def test_a_config_for_t5_is_checked_against_both_sides_before_anything_is_loaded(classroom):
    with pytest.raises(ConfigError, match=r"keep_encoder_layers.*0 to 2"):
        teach(classroom, make_config(student={"keep_layers": [0], "keep_encoder_layers": [3]}))
    layers = {"weight": 1.0, "layers": {"encoder": [[4, 1, 1.0]]}}
    with pytest.raises(ConfigError, match=r"feature.layers.encoder\[0\]"):
        teach(classroom, make_config(losses={"feature": layers}))


@pytest.mark.network
def test_flan_t5_is_distilled(tmp_path):
    import os

    if not os.environ.get("CURATE_NETWORK"):
        pytest.skip("CURATE_NETWORK is not set: FLAN-T5 is 300 MB")
    from huggingface_hub import snapshot_download

    folder = snapshot_download("google/flan-t5-small", allow_patterns=["*.json", "*.safetensors", "*.model"])
    rows = [row | {"prompt": f"Answer: {row['prompt']}"} for row in make_rows()]
    room = approve(tmp_path, folder, rows)
    config = make_config(student={"keep_layers": [0, 2, 5, 7]}, losses=ALL, epochs=1, learning_rate=3e-4)
    report = teach(room, config)
    assert report.after.kl_to_teacher < report.before.kl_to_teacher
    assert TrainingReport.read(tmp_path / "out" / "training.json") == report
