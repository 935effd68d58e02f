"""Each page, run by Streamlit without a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve
from streamlit.testing.v1 import AppTest
from synthetic_runs import labels, write_run

import kvbench_dashboard
from kvbench_core.run.records import CellError
from kvbench_dashboard.opened import VARIABLE, remember

APP = Path(kvbench_dashboard.__file__).with_name("app.py")
TABS = ["overview", "frontier", "method", "systems", "quality", "videos", "prompts", "data",
        "provenance"]  # fmt: skip
HOSTILE = "<script>alert(1)</script> **bold** ![x](http://127.0.0.1/x.png) :red[r] $x$"


@pytest.fixture(autouse=True)
def _keep_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "[]")


def opened(*roots: Path) -> AppTest:
    remember(roots)
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    return app


def at(app: AppTest, tab: str) -> AppTest:
    app.switch_page(f"tabs/{tab}.py").run()
    assert not app.exception, tab
    return app


def every_tab(*roots: Path) -> AppTest:
    app = opened(*roots)
    for tab in TABS:
        at(app, tab)
    return app


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "mine", labels(4), 3).root


def test_every_tab_opens(run: Path):
    every_tab(run)


def test_the_first_page_says_what_the_run_compares(run: Path):
    app = opened(run)
    assert app.markdown[0].value == "## mine: 4 methods, 3 prompts"
    assert not at(app, "data").main.markdown


def test_filters_change_the_tables(run: Path):
    app = at(opened(run), "data")
    assert len(app.dataframe[0].value) == 4 * 3
    app.multiselect(key="methods").set_value(["RTN_02"]).run()
    assert set(app.dataframe[0].value["name"]) == {"BF16", "RTN_02"}
    app.multiselect(key="prompts").set_value(["p001"]).run()
    assert len(app.dataframe[0].value) == 2


@pytest.mark.parametrize(
    "made",
    [
        {"methods": ["BF16"], "prompts": 1, "scored": False},
        {"methods": labels(3), "prompts": 1, "scored": False, "videos": False},
        {"methods": labels(3), "prompts": 2, "failing": ("RTN_01",)},
        {"methods": labels(3), "prompts": 2, "failing": ("BF16", "RTN_01", "RTN_02")},
        {"methods": labels(2)[1:], "prompts": 2},
        {"methods": ["BF16", HOSTILE], "prompts": 1, "prompt_text": HOSTILE, "failing": (HOSTILE,)},
        {"methods": labels(2), "prompts": 1, "weights": "synthetic"},
    ],
)
def test_odd_runs_give_pages_not_tracebacks(tmp_path: Path, made: dict):
    every_tab(write_run(tmp_path / "odd", **made).root)


def test_several_runs_are_compared(run: Path, tmp_path: Path):
    other = write_run(tmp_path / "other", labels(3), 2).root
    app = opened(run, other)
    assert len(app.dataframe[0].value) == 4
    app.sidebar.multiselect[0].set_value(["mine", "other"]).run()
    assert not app.exception
    assert set(app.dataframe[0].value["method"]) >= {"RTN_01 · mine", "RTN_01 · other"}
    for tab in TABS:
        at(app, tab)


def test_a_run_that_went_away_is_said(tmp_path: Path):
    app = opened_without_check(tmp_path / "gone")
    assert "is no run directory" in app.error[0].value
    assert not app.exception


def opened_without_check(root: Path) -> AppTest:
    remember([root])
    return AppTest.from_file(str(APP), default_timeout=60).run()


def test_failures_of_cells_and_of_scores_are_shown(tmp_path: Path):
    store = write_run(tmp_path / "failed", labels(3), 1, failing=("RTN_01",))
    cell = next(r for r in store.cells(store.manifest())[0] if r.cell.method.label == "RTN_02")
    score = store.scores(cell.cell.id)[0][0]
    error = CellError(type="ValueError", message="too small", traceback="...")
    store.put_score(evolve(score, status="failed", error=error, values={}))
    shown = " ".join(at(opened(store.root), "provenance").dataframe[0].value["what"])
    assert "MemoryError" in shown
    assert "metric ssim" in shown
    assert "too small" in shown


def test_synthetic_weights_are_not_recommended(tmp_path: Path):
    store = write_run(tmp_path / "synthetic", labels(3), 1, weights="synthetic")
    app = opened(store.root)
    assert "synthetic" in app.sidebar.warning[0].value
    assert "no quality" in app.info[0].value


def test_bf16_alone_is_not_recommended(tmp_path: Path):
    store = write_run(tmp_path / "alone", ["BF16"], 1, videos=False)
    assert "no compressed method" in opened(store.root).info[0].value


def test_a_run_that_is_named_twice_is_shown_once(run: Path, tmp_path: Path):
    other = write_run(tmp_path / "other", labels(3), 2).root
    app = opened(run, run, other)
    assert app.sidebar.multiselect[0].options == ["mine", "other"]
    app.sidebar.multiselect[0].set_value(["other"]).run()
    assert set(app.dataframe[0].value["method"]) == set(labels(3))


def test_filters_survive_another_run_that_lacks_what_they_name(run: Path, tmp_path: Path):
    other = write_run(tmp_path / "other", labels(2), 1).root
    app = opened(run, other)
    app.multiselect(key="methods").set_value(["RTN_03"]).run()
    app.multiselect(key="prompts").set_value(["p002"]).run()
    app.sidebar.multiselect[0].set_value(["other"]).run()
    for tab in TABS:
        at(app, tab)


@pytest.mark.parametrize("name", ["method", "runtime_s", "name", "cell", "ssim_drift_frames"])
def test_a_metric_that_calls_its_score_like_a_column_of_ours(tmp_path: Path, name: str):
    store = write_run(tmp_path / "mine", labels(3), 1)
    cell = next(r.cell.id for r in store.cells(store.manifest())[0] if store.scores(r.cell.id)[0])
    score = store.scores(cell)[0][0]
    columns = [evolve(score.columns[0], name=name)]
    store.put_score(evolve(score, metric="bad", columns=columns, values={name: 1.0}, drift={}))
    remember([store.root])
    app = AppTest.from_file(str(APP), default_timeout=60).run()
    assert not app.exception
    if not app.error:
        assert set(app.dataframe[0].value["method"]) == set(labels(3))
