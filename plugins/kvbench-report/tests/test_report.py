"""`kvbench report` on runs of every kind: what it writes, and what it says is missing."""

from __future__ import annotations

import csv
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from attrs import evolve
from made_runs import MadeRun, environment
from reports import HOSTILE, METHODS, PROMPTS, made, page, records, report, with_video

from kvbench_core.drift import Curve


def test_a_report_is_a_page_figures_and_tables(tmp_path: Path):
    made(tmp_path)
    text = page(tmp_path)
    out = tmp_path / "report"
    figures = {path.name for path in (out / "figures").iterdir()}
    for name in ("peak-compression", "quality-peak", "runtime-peak", "kv-trace",
                 "frontier-balanced", "frontier-compression", "frontier-systems",
                 "frontier-quality"):  # fmt: skip
        assert {f"{name}.png", f"{name}.svg"} <= figures
    tables = {path.name for path in (out / "tables").iterdir()}
    assert tables == {
        f"{table}.{ending}"
        for table in ("all-methods", "six-axes", "statistics")
        for ending in ("csv", "md", "tex")
    }
    for name in METHODS:
        assert name in text
    assert not re.search(r"(src|href)=\"(?!#|data:|figures/)", text)


def test_the_same_run_gives_the_same_bytes(tmp_path: Path):
    run = made(tmp_path, METHODS[:2], PROMPTS[:2])
    for shade, record in enumerate(records(run)):
        with_video(run, record, shade)
    page(tmp_path, "--out", str(tmp_path / "report"))
    report(tmp_path, "--out", str(tmp_path / "again"))
    first = sorted(path for path in (tmp_path / "report").rglob("*") if path.is_file())
    assert len(first) == 20
    for path in first:
        other = tmp_path / "again" / path.relative_to(tmp_path / "report")
        assert other.read_bytes() == path.read_bytes(), path.name


class Tags(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_texts_of_a_run_directory_stay_text(tmp_path: Path):
    run = made(tmp_path, METHODS[:2], PROMPTS[:2])
    hostile = evolve(run.manifest.methods[1], label=HOSTILE)
    run.store.update(
        lambda m: evolve(
            m,
            methods=[m.methods[0], hostile],
            prompts=[evolve(prompt, text=HOSTILE) for prompt in m.prompts],
            request=evolve(m.request, backend=HOSTILE, suite=HOSTILE),
        )
    )
    for i, record in enumerate(records(run)):
        with_video(run, record, i)
    for record in records(run):
        if record.cell.method.label != "BF16":
            run.store.put_cell(evolve(record, cell=evolve(record.cell, method=hostile)))
    tags = Tags(page(tmp_path)).found
    assert [tag for tag, _ in tags].count("script") == 1
    assert "img" not in {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    for svg in (tmp_path / "report" / "figures").glob("*.svg"):
        assert "<script" not in svg.read_text(encoding="utf-8")
    markdown = (tmp_path / "report" / "tables" / "all-methods.md").read_text(encoding="utf-8")
    assert "\\<script\\>" in markdown
    assert "\\input" not in (tmp_path / "report" / "tables" / "all-methods.tex").read_text()


def test_only_the_reference(tmp_path: Path):
    made(tmp_path, METHODS[:1])
    text = page(tmp_path)
    assert "There is no compressed method to recommend." in text


def test_without_any_metric(tmp_path: Path):
    made(tmp_path, scored=False)
    text = page(tmp_path)
    assert "there is no quality" in text
    assert "<code>kvbench evaluate</code>" in text
    assert "no score has a curve" in text


def test_failures_are_named_with_their_reasons(tmp_path: Path):
    run = made(tmp_path, METHODS[:3])
    run.failed("RTN_INT4", "cat", "ran <out> of memory")
    text = page(tmp_path)
    assert "RTN_INT4 on cat: RuntimeError: ran &lt;out&gt; of memory" in text
    assert "1 failed" in text


def test_nothing_but_failures(tmp_path: Path):
    run = MadeRun(tmp_path, METHODS[:2], PROMPTS[:1])
    for name in METHODS[:2]:
        run.failed(name, "cat")
    assert "2 failures below" in page(tmp_path)


def test_a_run_that_has_only_begun(tmp_path: Path):
    MadeRun(tmp_path, METHODS, PROMPTS)
    assert "No cell has been made yet" in page(tmp_path)


def test_a_reference_without_figures(tmp_path: Path):
    run = MadeRun(tmp_path, METHODS[:2], PROMPTS[:2])
    for prompt in PROMPTS[:2]:
        run.failed("BF16", prompt)
        run.cell("RTN_INT4", prompt, ratio=3.2, runtime=0.0, peak=0)
    assert "RTN_INT4" in page(tmp_path)


def test_no_reference_at_all(tmp_path: Path):
    run = MadeRun(tmp_path, METHODS[:3], PROMPTS[:2])
    for name in METHODS[1:3]:
        for prompt in PROMPTS[:2]:
            run.cell(name, prompt, ratio=3.2)
    assert "There is no BF16 cell" in page(tmp_path)


def test_a_manifest_without_sessions(tmp_path: Path):
    run = made(tmp_path, METHODS[:2], PROMPTS[:1])
    run.store.update(lambda m: evolve(m, sessions=[]))
    assert METHODS[1] in page(tmp_path)


def test_nothing_is_written_through_a_link(tmp_path: Path):
    root, precious = tmp_path / "run", tmp_path / "precious"
    made(root)
    precious.write_text("mine")
    (root / "report").mkdir()
    (root / "report" / "report.html").symlink_to(precious)
    assert "<html" in page(root)
    assert precious.read_text() == "mine"


def test_one_prompt_gives_no_intervals(tmp_path: Path):
    made(tmp_path, prompts=PROMPTS[:1])
    assert "One prompt gives no intervals" in page(tmp_path)


def test_cells_of_two_versions_are_pointed_out(tmp_path: Path):
    run = made(tmp_path, METHODS[:2])
    last = records(run)[-1]
    run.store.put_cell(evolve(last, environment=environment(torch="9.9")))
    assert "more than one version of torch: 9.9, none" in page(tmp_path)


def test_what_the_prompts_do_not_distinguish_is_marked(tmp_path: Path):
    run = MadeRun(tmp_path, METHODS[:3], PROMPTS)
    for j, prompt in enumerate(PROMPTS):
        run.cell("BF16", prompt, runtime=2.0)
        run.cell("RTN_INT4", prompt, runtime=2.0 + 0.1 * (j - 1))
        run.cell("RTN_INT2", prompt, runtime=3.0 + 0.1 * (j - 1))
    means = page(tmp_path).partition('id="statistics"')[2].partition("<details")[0]
    rows = re.findall(r"<tr.*?</tr>", means, re.DOTALL)
    marked = {name for name in METHODS for row in rows if f"<div>{name}</div>" in row
              and "\u2248 BF16" in row}  # fmt: skip
    assert marked == {"RTN_INT4"}


def test_drift_curves_of_every_score_that_has_one(tmp_path: Path):
    run = made(tmp_path, METHODS[:2])
    for record in records(run):
        if record.cell.method.label == "RTN_INT4":
            run.score(record, "ssim", 0.7, drift={"ssim": Curve([3, 6, 9], [0.9, 0.8, 0.7])})
    page(tmp_path)
    assert (tmp_path / "report" / "figures" / "drift-ssim.svg").exists()


def test_memory_is_drawn_where_it_was_recorded(tmp_path: Path):
    run = made(tmp_path, METHODS[:2])
    assert "a new run does" in page(tmp_path)
    for record in records(run):
        figures = evolve(record.figures, memory_bytes=[500, 900])
        run.store.put_cell(evolve(record, figures=figures))
    page(tmp_path)
    assert (tmp_path / "report" / "figures" / "memory-trace.png").exists()


def test_a_contact_sheet_says_which_videos_cannot_be_shown(tmp_path: Path):
    run = made(tmp_path, prompts=PROMPTS[:1])
    cells = {record.cell.method.label: record for record in records(run)}
    for shade, name in enumerate(("BF16", "RTN_INT4", "RTN_INT2")):
        with_video(run, cells[name], 50 * shade)
    swapped = run.store.video_path(cells["RTN_INT4"].cell.id)
    swapped.write_bytes(swapped.read_bytes() + b"x")
    page(tmp_path)
    sheet = (tmp_path / "report" / "figures" / "frames-0.svg").read_text(encoding="utf-8")
    assert "not the one that was recorded" in sheet
    assert "cannot be read" in sheet
    assert "data:image/png" in sheet


def test_a_video_of_another_size_than_recorded_is_named(tmp_path: Path):
    run = made(tmp_path, METHODS[:2], PROMPTS[:1])
    for record in records(run):
        with_video(run, record, 9)
    wrong = records(run)[-1]
    run.store.put_cell(evolve(wrong, video=evolve(wrong.video, width=16)))
    page(tmp_path)
    sheet = (tmp_path / "report" / "figures" / "frames-0.svg").read_text(encoding="utf-8")
    assert "has another size" in sheet
    for record in records(run):
        run.store.put_cell(evolve(record, video=evolve(record.video, width=16)))
    assert "not of the size that was recorded" in page(tmp_path)


def test_long_names_and_letters_of_any_script(tmp_path: Path, recwarn: pytest.WarningsRecorder):
    run = made(tmp_path, METHODS[:2], PROMPTS[:1])
    long = evolve(run.manifest.methods[1], label="X" * 2000)
    run.store.update(
        lambda m: evolve(
            m,
            methods=[m.methods[0], long],
            prompts=[evolve(m.prompts[0], text="\u4e00\u53ea\u732b " * 400)],
        )
    )
    for record in records(run):
        with_video(run, record, 9)
    text = page(tmp_path)
    assert "X" * 2000 in text
    assert not [each for each in recwarn if "Glyph" in str(each.message)]


def test_synthetic_weights_are_said(tmp_path: Path):
    run = made(tmp_path, METHODS[:2], PROMPTS[:1], scored=False)
    run.store.update(lambda m: evolve(m, request=evolve(m.request, weights="synthetic")))
    assert "Synthetic weights: systems figures only" in page(tmp_path)


def test_frames_of_chosen_prompts_and_methods(tmp_path: Path):
    run = made(tmp_path)
    for record in records(run):
        with_video(run, record, 9)
    page(tmp_path, "--prompt", "dog", "--prompt", "owl", "--method", "RTN_INT2")
    figures = tmp_path / "report" / "figures"
    assert sorted(path.name for path in figures.glob("frames-*.svg")) == [
        "frames-1.svg",
        "frames-2.svg",
    ]
    assert "KIVI_INT4" not in (figures / "frames-1.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--prompt", "dgo"], "no prompt of this run is called 'dgo'; did you mean dog?"),
        (["--prompt", "9999"], "no prompt of this run is called '9999'; see `"),
        (["--method", "RTN_INT3"], "no method of this run is called 'RTN_INT3'; did you mean"),
    ],
)
def test_a_slip_is_one_sentence(tmp_path: Path, options: list[str], sentence: str):
    made(tmp_path)
    result = report(tmp_path, *options)
    assert result.exit_code == 2
    assert sentence in result.output
    assert not (tmp_path / "report").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path):
    made(tmp_path, METHODS[:2])
    (tmp_path / "file").write_text("")
    result = report(tmp_path, "--out", str(tmp_path / "file" / "below"))
    assert result.exit_code == 2
    assert "cannot write" in result.output


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_the_tables_have_the_published_layout(tmp_path: Path):
    made(tmp_path)
    page(tmp_path)
    rows = rows_of(tmp_path / "report" / "tables" / "all-methods.csv")
    assert list(rows[0]) == [
        "method", "compression_ratio", "peak_bytes", "runtime_s", "imaging_quality", "ssim",
        "lpips", "psnr", "drift_last",
    ]  # fmt: skip
    assert [row["method"] for row in rows] == ["KIVI_INT4", "RTN_INT2", "RTN_INT4", "BF16"]
    by_name = {row["method"]: row for row in rows}
    assert float(by_name["RTN_INT4"]["ssim"]) == pytest.approx(0.88)
    assert float(by_name["RTN_INT4"]["peak_bytes"]) == 9_000_000
    assert by_name["BF16"]["psnr"] == "inf"
    assert {row["imaging_quality"] for row in rows} == {""}
    latex = (tmp_path / "report" / "tables" / "all-methods.tex").read_text(encoding="utf-8")
    assert "\\toprule" in latex
    assert "RTN\\_INT4" in latex
