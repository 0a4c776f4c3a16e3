"""Pages in a real browser, the network off: Chromium by Playwright, accessibility by axe-core.

Skipped with a reason where there is no Chromium; CURATE_CHROMIUM names one that is not on the path.
"""

import os
import shutil
import time
from pathlib import Path

import pytest

from curate.report.html import prompts_page

from .gallery import gallery
from .values import HOSTILE, diversity_report, filter_report, shift_report

playwright = pytest.importorskip("playwright.sync_api")

NAMES = ("decision", "decisions", "analysis", "prompts", "run", "denied-run", "comparison")
WIDTHS = {"phone": 390, "desk": 1440}
PAPER = 680
"""Pixels of an A4 sheet between its margins."""
CHROMIUM = os.environ.get("CURATE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
AXE = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
    .filter(found => ['serious', 'critical'].includes(found.impact))
    .map(found => `${found.impact} ${found.id}: ${found.nodes.slice(0, 3).map(node => node.html).join(' | ')}`)"""
OVERFLOW = """() => [document.documentElement.scrollWidth - document.documentElement.clientWidth,
    ...[...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > innerWidth + 1
        && !one.closest('.scroll') && !one.closest('svg')).map(one => one.outerHTML.slice(0, 120))]"""


@pytest.fixture(scope="module")
def axe_source():
    package = pytest.importorskip("axe_playwright_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path: install one or name it by CURATE_CHROMIUM")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def view(browser, tmp_path):
    """Opens a page without a network; whatever the browser complains of, or asks the network for, fails the test."""
    complaints, contexts = [], []

    def show(source, *, width=1440, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        file = tmp_path / f"{len(contexts)}.html"
        file.write_text(source, encoding="utf-8")
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda asked: asked.url == file.as_uri() or complaints.append(f"asked for {asked.url}"))
        page.goto(file.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hostile", ["", HOSTILE], ids=["plain", "hostile"])
def test_a_page_fits_a_phone_and_a_desk_without_a_complaint(view, name, hostile):
    for width in WIDTHS.values():
        page = view(gallery(hostile)[name], width=width)
        assert page.evaluate(OVERFLOW) == [0]
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 1000})
    assert page.evaluate(OVERFLOW) == [0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(view, axe_source, name, scheme):
    page = view(gallery()[name], scheme=scheme, width=WIDTHS["phone"] if scheme == "dark" else WIDTHS["desk"])
    page.evaluate(axe_source)
    assert page.evaluate(AXE) == []


def test_axe_is_awake(view, axe_source):
    page = view("<!doctype html><html lang=en><title>x</title><main><h1>x</h1><p style='color:#eee'>faint</p></main>")
    page.evaluate(axe_source)
    assert "color-contrast" in page.evaluate(AXE)[0]


def test_dark_is_dark_and_print_is_white(view):
    page = view(gallery()["run"], scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    assert sum(map(int, page.evaluate(colour)[4:-1].split(","))) < 120
    page.emulate_media(media="print")
    assert sum(map(int, page.evaluate(colour)[4:-1].split(","))) > 700


def test_pointing_at_a_prompt_on_the_map_shows_its_text(view):
    page = view(gallery()["run"])
    point = page.locator("[aria-labelledby=map] svg circle").first
    point.scroll_into_view_if_needed()
    before = point.evaluate("one => getComputedStyle(one).stroke")
    point.hover(force=True)
    place = point.bounding_box()
    found = page.evaluate(
        "([x, y]) => { const one = document.elementFromPoint(x, y);"
        " return [one.querySelector('title').textContent, getComputedStyle(one).stroke]; }",
        [place["x"] + place["width"] / 2, place["y"] + place["height"] / 2],
    )
    assert ": " in found[0]
    assert "(" in found[0], "the prompt's own text"
    assert found[1] != before, "the point under the pointer is marked"


def test_unticking_a_group_hides_it_and_ticking_shows_it_again(view):
    page = view(gallery()["run"])
    group = page.locator("[aria-labelledby=map] .legend label").filter(has_text="near")
    group.scroll_into_view_if_needed()
    shown = "document.querySelectorAll('[aria-labelledby=map] svg [class*=_marks] *').length"
    visible = (
        "[...document.querySelectorAll('[aria-labelledby=map] svg [class*=_marks] > *')]"
        ".filter(one => one.getBoundingClientRect().width).length"
    )
    everything = page.evaluate(visible)
    group.click()
    fewer = page.evaluate(visible)
    assert 0 < fewer < everything <= page.evaluate(shown)
    group.locator("input").press("Space")
    assert page.evaluate(visible) == everything


def test_a_keyboard_reaches_the_verdict_and_every_scrolled_table(view):
    page = view(gallery()["run"])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    assert page.evaluate("[...document.querySelectorAll('.scroll')].every(one => one.tabIndex === 0)")


def test_a_page_of_a_hundred_thousand_prompts_opens_in_under_two_seconds(view):
    diversity = diversity_report(5000).model_copy(update={"rows": 100_000})
    filters = filter_report().model_copy(update={"rows_read": 110_000, "rows_kept": 100_000})
    source = prompts_page(diversity, shift_report(), filters, None)
    assert "100,000" in source
    started = time.perf_counter()
    page = view(source)
    page.evaluate("document.body.getBoundingClientRect().height")
    took = time.perf_counter() - started
    print(f"page of 100,000 prompts: {len(source.encode()):,} bytes, open after {took:.2f} s")
    assert took < 2
