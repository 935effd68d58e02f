"""The page in a headless Chromium: it opens from disk, sorts, filters, and runs nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from reports import HOSTILE, METHODS, made, page, records, with_video

pytestmark = pytest.mark.browser
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, list[str], list[str]]]:
    """The report of a hostile run; what the console said; what was requested."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    root = tmp_path_factory.mktemp("run")
    run = made(root)
    for shade, record in enumerate(records(run)):
        with_video(run, record, 10 * shade)
    run.failed("KIVI_INT4", "owl", HOSTILE)
    page(root)
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"), executable_path=CHROMIUM, args=FLAGS
        )
        tab = browser.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((root / "report" / "report.html").as_uri())
        yield tab, said, asked
        browser.close()


def names(tab: Any) -> list[str]:
    rows = tab.locator("#methods tbody tr:visible th")
    return [text.strip() for text in rows.all_inner_texts()]


def test_it_opens_without_an_error_or_a_request(opened: Any):
    tab, said, asked = opened
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [tab.url]
    assert tab.locator("figure svg").count() == 5
    assert tab.locator("figure svg:not([aria-label])").count() == 0


def test_a_heading_sorts_both_ways(opened: Any):
    tab, said, _ = opened
    heading = tab.locator("#methods thead button", has_text="compression ratio")
    heading.click()
    assert names(tab) == list(METHODS)
    heading.click()
    assert names(tab) == list(METHODS)[::-1]
    assert tab.locator("#methods th[aria-sort=descending]").count() == 1
    assert said == []


def test_what_is_missing_stays_last(opened: Any):
    tab, _, _ = opened
    prompts = "#methods tbody tr:nth-child(2) td:nth-child(4)"
    tab.evaluate("cell => delete document.querySelector(cell).dataset.key", prompts)
    missing = names(tab)[1]
    for _ in range(2):
        tab.locator("#methods thead button", has_text="prompts").click()
        assert names(tab)[-1] == missing


def test_filters_by_text_and_family(opened: Any):
    tab, _, _ = opened
    form = tab.locator("#methods form")
    form.locator("input").fill("int2")
    assert names(tab) == ["RTN_INT2"]
    assert "1 of 4" in form.locator("output").inner_text()
    form.locator("input").fill("")
    form.locator("select").select_option("KIVI")
    assert names(tab) == ["KIVI_INT4"]
    form.locator("select").select_option("")
    assert len(names(tab)) == len(METHODS)


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_the_page_never_scrolls_sideways(opened: Any, width: int):
    tab, _, _ = opened
    tab.set_viewport_size({"width": width, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(opened: Any, scheme: str):
    tab, _, _ = opened
    tab.emulate_media(color_scheme=scheme)
    for selector in ("body", "header p", "dt", "figcaption", "nav a"):
        colours = tab.evaluate(
            "s => [getComputedStyle(document.querySelector(s)).color,"
            " getComputedStyle(document.body).backgroundColor]",
            selector,
        )
        assert contrast(*colours) >= 4.5, (selector, colours)


def contrast(one: str, other: str) -> float:
    """The WCAG contrast ratio of two colours such as ``rgb(1, 2, 3)``."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_print_shows_what_is_folded(opened: Any, tmp_path: Path):
    tab, _, _ = opened
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details:not([open])").count() == 0
