from pathlib import Path

import pytest

from curate.distillation.results import LossPoint, Quality
from curate.prompts.results import Cluster, FilterReport, Sample
from curate.report import charts_training
from curate.report.charts import (
    MAP_POINTS,
    cluster_shares,
    drops_by_filter,
    prompt_map,
    quality_histogram,
    similarity_histogram,
)
from curate.report.charts_training import footprint_bars, loss_curves, quality_bars
from curate.report.figures import OTHER, group_legend, spread
from curate.report.recipe import loss_terms, quality_sentence
from curate.report.svg import BLUE, GREY, INK, MUTED, PALETTE
from curate.report.text_training import training_text

from .pages import Page
from .values import filter_report, prompt_samples, training_report


def test_nothing_to_draw_is_no_figure():
    assert prompt_map(()) is None
    assert prompt_map((Sample(x=float("nan"), y=0, text="a", group="kept"),)) is None
    assert similarity_histogram((0,) * 20) is None
    assert similarity_histogram(()) is None
    assert quality_histogram(()) is None
    assert quality_histogram((0,) * 20) is None
    assert cluster_shares(()) is None
    assert loss_curves(()) is None
    assert quality_bars({"after": Quality()}) is None
    assert footprint_bars(training_report().model_copy(update={"footprints": {}})) is None
    empty = FilterReport(prompts_sha256="", rows_read=0, rows_kept=0, filters=(), drops=())
    assert drops_by_filter(empty) is None


def test_every_point_of_a_small_map_has_its_text():
    figure = prompt_map(prompt_samples(40))
    assert figure is not None
    svg = Page(figure.panels[0].svg)
    assert svg.tags.count("title") == 40
    assert "kept: " in svg.text


def test_a_large_map_is_sampled_for_drawing_and_counted_whole():
    figure = prompt_map(prompt_samples(6000))
    assert figure is not None
    assert Page(figure.panels[0].svg).tags.count("title") <= MAP_POINTS
    assert "6,000 prompts" in figure.caption
    assert sum(entry.count or 0 for entry in figure.legend) == 6000


def test_the_quality_chart_counts_every_bin_and_tells_how_many_are_low():
    counts = (5, 0, 0, 0, 0, 0, 0, 2, 3, *(0,) * 10, 10)
    figure = quality_histogram(counts)
    assert figure is not None
    assert "Of 20 rows, 7 (" in figure.caption
    assert figure.rows == (
        ("0.00", "0.05", "5"), ("0.35", "0.40", "2"), ("0.40", "0.45", "3"), ("0.95", "1.00", "10"),
    )  # fmt: skip
    assert "10 prompts between 0.95 and 1.00" in Page(figure.panels[0].svg).text


def test_a_rare_group_is_drawn_all_the_same():
    samples = [*prompt_samples(6000), *(Sample(x=i, y=0, text="t", group="license") for i in range(5))]
    figure = prompt_map(samples)
    assert figure is not None
    assert Page(figure.panels[0].svg).text.count("license: t") == 5


def test_more_groups_than_colours_share_the_last():
    legend = group_legend({"kept": 5, **{f"filter{i}": 10 - i for i in range(9)}})
    assert legend[-1].label == OTHER
    assert legend[-1].count == sum(10 - i for i in range(5, 9))
    assert len({(entry.colour, entry.shape) for entry in legend}) == len(legend) == 7


def test_a_layer_of_the_map_bears_the_number_of_its_legend():
    figure = prompt_map(prompt_samples(60))
    assert figure is not None
    for entry in figure.legend:
        assert f"layer_{entry.layer}_marks" in figure.panels[0].svg


@pytest.mark.parametrize("count", [0, 1, 2, 5, 100])
def test_what_is_spread_keeps_both_ends(count: int):
    items = spread(range(count), 5)
    assert len(items) == min(count, 5)
    assert items[:1] == list(range(count))[:1]
    assert items[-1:] == list(range(count))[-1:]


def test_each_loss_term_has_its_panel_and_a_log_scale_where_needed():
    figure = loss_curves(training_report().curve)
    assert figure is not None
    assert [panel.title for panel in figure.panels] == [
        "weighted total", "task", "KD (log scale)", "hidden states", "attention maps (log scale)",
    ]  # fmt: skip
    assert figure.rows[1][0] == "task"


def test_a_loss_that_is_not_finite_is_left_out():
    curve = [
        LossPoint(step=i, total=1.0, terms={"task": float("nan")}, learning_rate=1, tokens_per_s=1) for i in (1, 2)
    ]
    figure = loss_curves(curve)
    assert figure is not None
    assert len(figure.panels) == 1


def test_a_long_curve_is_drawn_with_few_points():
    figure = loss_curves(training_report(steps=20_000).curve)
    assert figure is not None
    assert all(len(panel.svg) < 60_000 for panel in figure.panels)


def test_clusters_without_a_reference_say_nothing_of_one():
    figure = cluster_shares((Cluster(words=("card",), share=0.6), Cluster(words=("card",), share=0.4)))
    assert figure is not None
    assert "reference" not in figure.caption
    assert len(figure.legend) == 1


def test_a_long_label_is_cut_between_characters():
    for word in ("🎉x" * 30, "𡌫" * 30, "!`<\U000fc19a\r\x08𝌳\x18\x1f\U000331ae" * 3, "日本語" * 20):
        figure = cluster_shares((Cluster(words=(word,) * 3, share=0.5),))
        assert figure is not None
        assert "…" in Page(figure.panels[0].svg).text


def test_charts_name_what_screens_cannot_show():
    figure = drops_by_filter(filter_report())
    assert figure is not None
    svg = Page(figure.panels[0].svg)
    assert ("svg", "aria-label", figure.caption) in svg.attributes
    assert "near: 20 of 212 rows" in svg.text


def test_identifiers_of_two_charts_differ():
    first, second = loss_curves(training_report().curve).panels[:2]  # type: ignore[union-attr]
    assert not set(Page(first.svg).ids) & set(Page(second.svg).ids)


def test_the_sentence_on_quality_takes_the_measure_that_says_most():
    report = training_report()
    models = {"teacher": report.teacher, "before": report.before, "after": report.after}
    assert quality_sentence(models) == "Accuracy: 81.7 % after, 0.0 % before, 86.1 % for the teacher."
    assert quality_sentence({"after": Quality(perplexity=2.0)}) == "Perplexity: 2 after."


def test_a_term_of_no_weight_is_off():
    report = training_report()
    losses = report.config.losses.model_copy(
        update={"attention": report.config.losses.attention.model_copy(update={"weight": 0.0})}
    )
    assert loss_terms(losses, report.balance)[3] == ("attention maps (γ)", "0", "–", "off")


def test_a_training_report_reads_as_two_tables():
    lines = training_text(training_report(), training_report(with_kd=False), width=80).splitlines()
    assert lines[0] == "acme/embedded-teacher → acme/tiny-helper"
    assert any(line.split() == ["accuracy", "86.1", "%", "0.0", "%", "81.7", "%", "81.7", "%"] for line in lines)
    assert any(line.split() == ["parameters", "6.91", "M", "2.24", "M", "3.09×"] for line in lines)
    assert all(len(line) <= 80 for line in lines)


def contrast(one: str, other: str) -> float:
    """Contrast of two colours after WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_colours_of_charts_stand_out_on_paper():
    for colour in (*PALETTE, BLUE, GREY):
        assert contrast(colour, "#fdfdfc") >= 3
    for colour in (INK, MUTED):
        assert contrast(colour, "#fdfdfc") >= 4.5


def test_the_style_sheet_knows_every_colour_that_is_too_dark_for_a_dark_screen():
    style = (Path(charts_training.__file__).parent / "templates" / "style.css.j2").read_text(encoding="utf-8")
    for colour in (*PALETTE[1:], BLUE, INK, MUTED):
        assert f'[fill="{colour}"]' in style
