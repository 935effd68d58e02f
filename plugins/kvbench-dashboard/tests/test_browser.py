"""The dashboard in a headless Chromium, served by the command itself."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import synthetic_runs
from synthetic_runs import VIDEO_FRAMES, frames_of, labels, write_run

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
READY = "[data-testid=stApp][data-test-script-state=notRunning]"
PATIENCE_MS = 20_000
TABS = ["Overview", "Frontiers", "Method", "Systems", "Quality and drift", "Videos", "Prompts",
        "Data", "Provenance"]  # fmt: skip
HOSTILE = "RTN_<img src=x onerror=alert(1)>**b**"
LONGEST_S = 10  # about 2 where nothing else runs
PIXELS = """canvas => Array.from(
    canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The address of the dashboard of a run, while it runs."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "kvbench_core.cli", "dashboard", str(root), "--no-browser"]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL) as server:
        address = f"http://localhost:{port}"
        wait_for(f"{address}/_stcore/health", server)
        yield address
        server.terminate()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("runs") / "mine"
    write_run(root, [*labels(4), HOSTILE], 2, prompt_text="<b>a blue ring</b>", failing=("RTN_03",))
    with served(root) as address:
        yield address


def wait_for(address: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "the server ended"
        try:
            urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the server does not answer")


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What went wrong on the page, in the browser's words."""
    return []


@pytest.fixture(scope="module")
def page(address: str, said: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch_persistent_context(
            tmp_path_factory.mktemp("profile"),
            executable_path=CHROMIUM,
            args=FLAGS,
            viewport={"width": 1400, "height": 1000},
        )
        tab = browser.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda asked: elsewhere(asked.url, address, said))
        tab.goto(address)
        tab.wait_for_selector(READY)
        yield tab
        browser.close()


def elsewhere(asked: str, address: str, said: list[str]) -> None:
    if asked.startswith("http") and not asked.startswith(address):
        said.append(f"a request to {asked}")


def open_tab(page: Any, title: str) -> None:
    page.get_by_role("link", name=title, exact=True).first.click()
    page.wait_for_timeout(300)
    page.wait_for_selector(READY)


@pytest.fixture
def player(page: Any) -> Any:
    """The player at rest at its first frame, without the difference view."""
    open_tab(page, "Videos")
    found = page.locator(".player")
    found.locator("canvas").first.wait_for()
    found.locator(".difference").set_checked(False)
    found.locator("[data-do=first]").click()
    wait_frames(found, 0)
    return found


def whole(player: Any) -> Any:
    return player.locator(".whole canvas")


def videos(player: Any) -> list[tuple[str, Any]]:
    """The methods whose videos are shown, with their canvases."""
    tiles = player.locator(".tile:has(canvas)").all()
    return [(tile.locator(".name").inner_text(), tile.locator("canvas").first) for tile in tiles]


def shown(player: Any) -> set[str]:
    """The frame numbers that the videos show at this moment."""
    return set(whole(player).evaluate_all("all => all.map(one => one.dataset.frame)"))


def wait_frames(player: Any, index: int) -> None:
    deadline = time.monotonic() + 30
    while shown(player) != {str(index)} or player.locator(".state").inner_text() != "exact pixels":
        assert time.monotonic() < deadline, (shown(player), index)
        player.page.wait_for_timeout(50)


def pixels(canvas: Any) -> np.ndarray:
    height, width = canvas.evaluate("canvas => [canvas.height, canvas.width]")
    data = np.array(canvas.evaluate(PIXELS), np.uint8)
    return data.reshape(height, width, 4)[..., :3]


@pytest.mark.parametrize("title", TABS)
def test_every_tab_opens(page: Any, title: str, said: list[str]):
    open_tab(page, title)
    page.wait_for_timeout(500)
    assert page.locator("[data-testid=stException]").count() == 0
    assert page.locator("[data-testid=stMain]").inner_text().strip()
    assert said == []


def test_stepping_shows_exactly_the_next_frame_of_each_video(player: Any):
    assert whole(player).count() == 3  # BF16, two that were made; one failed
    for index in (1, 2):
        player.locator("[data-do=forward]").click()
        wait_frames(player, index)
        for method, canvas in videos(player):
            np.testing.assert_array_equal(pixels(canvas), frames_of(method, 0)[index])
    player.locator("[data-do=back]").click()
    wait_frames(player, 1)
    player.press("End")
    wait_frames(player, VIDEO_FRAMES - 1)


def test_a_failed_cell_says_why_beside_the_others(player: Any):
    said = player.locator(".problem")
    said.wait_for()
    assert "MemoryError: no <b>room</b> left" in said.inner_text()
    assert whole(player).count() == 3


def test_playing_keeps_the_videos_in_step(player: Any):
    player.locator("[data-do=play]").click()
    seen = []
    for _ in range(40):
        found = shown(player)
        assert len(found) == 1, found
        seen += [number for number in found if number not in seen[-1:]]
        player.page.wait_for_timeout(40)
    player.locator("[data-do=play]").click()
    assert len(seen) > 5
    still = shown(player)
    player.page.wait_for_timeout(400)
    assert shown(player) == still


def test_scrubbing_shows_the_chosen_frame(player: Any):
    player.locator(".scrub").fill("7")
    wait_frames(player, 7)
    assert player.locator(".where").inner_text().startswith(f"frame 8 of {VIDEO_FRAMES}")


def test_the_difference_is_that_of_the_exact_pixels(player: Any):
    player.locator(".scrub").fill("3")
    wait_frames(player, 3)
    player.locator(".difference").set_checked(True)
    player.locator(".gain").fill("2")
    player.page.wait_for_timeout(300)
    (reference, _), (method, _), *_ = videos(player)
    assert reference == "BF16"
    ours, reference = (frames_of(name, 0)[3].astype(int) for name in (method, "BF16"))
    apart = np.abs(ours - reference)
    first = player.locator(".apart canvas").first
    np.testing.assert_array_equal(pixels(first), np.minimum(255, 4 * apart))
    psnr = 10 * np.log10(255**2 / np.mean(apart.astype(float) ** 2))
    assert f"PSNR {psnr:.2f} dB" in player.locator(".measure").first.inner_text()


def test_a_filter_changes_the_table(page: Any):
    open_tab(page, "Data")
    main = page.locator("[data-testid=stMain]")
    main.get_by_text("10 cells").wait_for()
    page.get_by_label("Prompts").click()
    page.get_by_role("option", name="p001").click()
    page.keyboard.press("Escape")
    main.get_by_text("5 cells").wait_for()


def test_hostile_labels_are_text(page: Any, said: list[str]):
    open_tab(page, "Method")
    page.get_by_label("Method", exact=True).click()
    page.get_by_role("option", name="RTN_<img", exact=False).click()
    page.wait_for_selector(READY)
    assert page.locator("img[src=x]").count() == 0
    assert said == []


def test_a_study_of_full_size_is_drawn_soon(page: Any, tmp_path: Path):
    write_run(tmp_path / "large", labels(34), 100, videos=False)
    with served(tmp_path / "large") as address:
        tab = page.context.new_page()
        for _ in range(2):  # the first time includes what server and browser load for themselves
            started = time.monotonic()
            tab.goto(address)
            tab.get_by_text("3400", exact=False).first.wait_for()
            tab.wait_for_selector(READY)
            seconds = time.monotonic() - started
        assert seconds < LONGEST_S
        tab.close()


def test_large_pictures_play_as_copies_and_stand_still_exactly(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(synthetic_runs, "HEIGHT", 400)
    monkeypatch.setattr(synthetic_runs, "WIDTH", 512)
    write_run(tmp_path / "large", labels(2), 1)
    with served(tmp_path / "large") as address:
        tab = page.context.new_page()
        tab.goto(f"{address}/videos")
        player = tab.locator(".player")
        whole(player).first.wait_for()
        wait_frames(player, 0)
        player.locator("[data-do=play]").click()
        tab.wait_for_function(
            "state => state.innerText === 'compressed copy'",
            arg=player.locator(".state").element_handle(),
        )
        player.locator("[data-do=play]").click()
        player.locator("[data-do=last]").click()
        wait_frames(player, VIDEO_FRAMES - 1)
        for method, canvas in videos(player):
            np.testing.assert_array_equal(pixels(canvas), frames_of(method, 0)[-1])
        tab.close()
