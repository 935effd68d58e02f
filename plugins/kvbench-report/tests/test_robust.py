"""What a user's run may look like: every analysis answers, or says in one line why it cannot."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from made_runs import MadeRun, environment

from kvbench_core.cli import main

ROOT = Path(__file__).parents[3]
COMMANDS = (
    ("frontier", "RUN"),
    ("frontier", "RUN", "--only", "balanced"),
    ("frontier", "RUN", "--json"),
    ("recommend", "RUN", "--max-peak", "1KiB", "--min-ssim", "0.5", "--max-runtime-ratio", "2"),
    ("recommend", "RUN", "--calibrate", "--rankings", "--preset", "long-horizon"),
    ("recommend", "RUN", "--json"),
    ("compare", "RUN", "--published", "moviegen"),
    ("compare", "RUN", "--published", "storyeval", "--json"),
    ("compare", "RUN", "RUN"),
)


def kvbench(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def answers(root: Path) -> list[Result]:
    """What each command says of a run; none shows a traceback."""
    results = []
    for words in COMMANDS:
        done = kvbench(*(root if word == "RUN" else word for word in words))
        assert done.exception is None or isinstance(done.exception, SystemExit), words
        assert "Traceback" not in done.output
        if "--json" in words and done.exit_code == 0:
            json.loads(done.stdout, parse_constant=pytest.fail)
        results.append(done)
    return results


def all_fine(root: Path) -> None:
    assert [done.exit_code for done in answers(root)] == [0] * len(COMMANDS)


@pytest.fixture
def made(tmp_path: Path) -> MadeRun:
    made = MadeRun(tmp_path / "run", ["BF16", "RTN_INT4", "RTN_INT2"], ["p", "q", "r"])
    for place, prompt in enumerate("pqr"):
        made.cell("BF16", prompt)
        for depth, name in enumerate(("RTN_INT4", "RTN_INT2")):
            made.cell(name, prompt, ratio=3.2 + depth, peak=900 - depth, runtime=1.1 + place / 10,
                      scores={"ssim": 0.9 - depth / 5 + place / 50, "lpips": 0.1,
                              "drift_last": 0.7, "psnr": 30.0})  # fmt: skip
    return made


def test_a_whole_run(made):
    all_fine(made.store.root)


def test_cells_that_failed(made):
    made.failed("RTN_INT4", "p", "out of\nmemory \x1b[31m")
    for prompt in "pqr":
        made.failed("RTN_INT2", prompt)
    all_fine(made.store.root)
    done = kvbench("frontier", made.store.root)
    assert "RTN_INT2 is left out of balanced" in done.stdout
    assert "\x1b" not in done.output


def test_the_reference_failed(made):
    for prompt in "pqr":
        made.failed("BF16", prompt)
    all_fine(made.store.root)


def test_only_bf16(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16"], ["p"])
    made.cell("BF16", "p")
    all_fine(made.store.root)


def test_no_bf16(tmp_path):
    made = MadeRun(tmp_path / "run", ["RTN_INT4"], ["p", "q"])
    for prompt in "pq":
        made.cell("RTN_INT4", prompt, ratio=3.2)
    all_fine(made.store.root)
    done = kvbench("recommend", made.store.root, "--max-runtime-ratio", "2")
    assert "no runtime / BF16" in done.stdout


def test_no_metric_at_all(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16", "RTN_INT4"], ["p", "q"])
    for prompt in "pq":
        made.cell("BF16", prompt)
        made.cell("RTN_INT4", prompt, ratio=3.2, peak=500)
    all_fine(made.store.root)
    done = kvbench("frontier", made.store.root)
    assert "quality (quality first): min runtime" in done.stdout
    assert "no figures of SSIM, LPIPS, drift-last" in done.stdout


def test_one_prompt(tmp_path):
    made = MadeRun(tmp_path / "run", ["BF16", "RTN_INT4"], ["p"])
    made.cell("BF16", "p")
    made.cell("RTN_INT4", "p", ratio=3.2, peak=500, scores={"ssim": 0.9})
    all_fine(made.store.root)
    assert "%" not in kvbench("frontier", made.store.root).stdout


def test_cells_that_store_nothing_and_take_no_time(made):
    record = made.cell("RTN_INT4", "p")
    nothing = evolve(record.figures, compression_ratio=None, wall_s=0.0, kv_stored_bytes=[0, 0])
    made.store.put_cell(evolve(record, figures=nothing))
    bf16 = made.cell("BF16", "p")
    made.store.put_cell(evolve(bf16, figures=evolve(bf16.figures, wall_s=0.0)))
    all_fine(made.store.root)


def test_runs_of_different_versions(made, tmp_path):
    other = MadeRun(tmp_path / "other", ["BF16", "RTN_INT4"], ["x"], backend="wan", device="cuda")
    other.environment = environment(torch="2.11")
    for name in ("BF16", "RTN_INT4"):
        record = other.cell(name, "x")
        if name != "BF16":
            other.score(record, "ssim", 0.5, metric_version="7")
    done = kvbench("compare", made.store.root, other.store.root)
    assert done.exit_code == 0, done.output
    for text in ("generator: toy | wan", "metric of ssim: ssim 1 | ssim 7"):
        assert f"differs: {text}" in done.stdout


def test_no_run_and_an_empty_one(tmp_path):
    for root in (tmp_path, tmp_path / "nowhere", Path(__file__)):
        for done in answers(root):
            assert done.exit_code == 2
            assert "is no run directory" in done.stderr
    empty = MadeRun(tmp_path / "run", ["BF16"], ["p"])
    for done in answers(empty.store.root):
        assert done.exit_code == 2
        assert "has no readable cell yet" in done.stderr


@pytest.mark.parametrize("seed", range(12))
def test_damaged_files(made, seed):
    """Any file of the run cut short or overwritten at random."""
    chance = random.Random(seed)
    files = sorted(path for path in made.store.root.rglob("*.json"))
    for path in chance.sample(files, 3):
        data = bytearray(path.read_bytes())
        if chance.random() < 0.5:
            data = data[: chance.randrange(len(data))]
        else:
            place = chance.randrange(len(data))
            data[place : place + 8] = chance.randbytes(8)
        path.write_bytes(data)
    for done in answers(made.store.root):
        assert done.exit_code in (0, 2)
        assert done.stdout or done.stderr.startswith("Error: ")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the repository's toy generator, made by the command."""
    site = tmp_path_factory.mktemp("site")
    info = site / "kvbench_toy-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kvbench-toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kvbench]\ntoy = toy_plugin\n")
    root = tmp_path_factory.mktemp("real") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tests"))
        patch.syspath_prepend(str(site))
        done = kvbench("run", "--backend", "toy", "-m", "COARSE,COARSE_RECENT,failing", "--prompts",
                       "3", "--out", root, "--metrics", "ssim,psnr,error", "--quiet")  # fmt: skip
    assert done.exit_code == 1, done.output  # a method fails
    return root


def test_a_real_run_once_its_plugins_are_gone(real, tmp_path):
    root = Path(shutil.copytree(real, tmp_path / "run"))
    all_fine(root)
    data = json.loads(kvbench("recommend", root, "--min-ratio", "1.5", "--json").stdout)
    assert "COARSE" in data["ranking"]
    assert data["methods"]["failing"]["reasons"] == ["no compression ratio"]
    assert data["methods"]["BF16"]["reasons"] == ["compression ratio 1.000 x, under 1.500 x"]
