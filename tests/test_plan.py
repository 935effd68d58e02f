"""Planning: everything is checked before anything is generated."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_runs import plan

from kvbench_core.errors import KvbenchError
from kvbench_core.integration import Reconstruct
from kvbench_core.registry import Registry, build_registry
from kvbench_core.run.plan import Plan, cell_key, find_device
from kvbench_core.run.records import Method
from kvbench_core.suite import Prompt, Suite


@pytest.fixture
def registry(toy: None) -> Registry:
    return build_registry()


def labels(made: Plan) -> list[tuple[str, str]]:
    return [(cell.method.label, cell.prompt) for cell in made.cells]


def test_the_reference_comes_first_for_each_prompt(registry: Registry):
    made = plan(registry, "COARSE", "BF16", prompts="2")
    assert labels(made) == [
        ("BF16", "ball"), ("COARSE", "ball"), ("BF16", "cube"), ("COARSE", "cube"),
    ]  # fmt: skip
    assert [cell.seed for cell in made.cells] == [0, 0, 1, 1]


def test_families_names_and_expressions_mix_and_repeat(registry: Registry):
    made = plan(registry, "TOY", "COARSE", "coarse(0.25)", "coarse(step=0.5)")
    assert [method.label for method in made.methods] == [
        "BF16", "COARSE", "COARSE_RECENT", "coarse(step=0.5)",
    ]  # fmt: skip


def test_an_integration_can_be_named_for_one_method_or_all(registry: Registry):
    made = plan(registry, "COARSE", "COARSE@reconstruct")
    assert [m.integration for m in made.methods] == ["streaming", "streaming", "reconstruct"]
    assert isinstance(made.policies[made.methods[2]], Reconstruct)
    made = plan(registry, "TOY@streaming", "COARSE", integration="reconstruct")
    assert [m.integration for m in made.methods] == ["streaming"] * 3 + ["reconstruct"]
    assert made.methods[0].is_reference


def test_prompts_by_id_keep_the_order_and_seed_of_the_suite(registry: Registry):
    made = plan(registry, prompts="star, ball", seed=10)
    assert [(cell.prompt, cell.seed) for cell in made.cells] == [("ball", 10), ("star", 12)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "toi"}, "no backend is called 'toi'; did you mean toy"),
        (
            {"methods": ["COARSE_RECEN"]},
            "no method is called 'COARSE_RECEN'; did you mean COARSE_RECENT",
        ),
        ({"methods": ["coarse(step='x')"]}, "step must be a number such as 0.25; got 'x'"),
        ({"methods": ["coarse(size=1)"]}, "no parameter of coarse is called 'size'"),
        ({"methods": ["coarse()+coarse()"]}, "a method takes one codec"),
        ({"methods": ["COARSE@sideways"]}, "no integration is called 'sideways'"),
        ({"methods": [f"coarse(step={'0' * 3000}.5)"]}, "too long"),
        ({"integration": "fast"}, "no integration is called 'fast'"),
        ({"prompts": "0"}, "prompts must be 1 to 3 for suite toy-suite, or prompt ids; got 0"),
        ({"prompts": "4"}, "got 4"),
        ({"prompts": "bal"}, "no prompt of suite toy-suite is called 'bal'; did you mean ball"),
        ({"prompts": ","}, "name at least one prompt"),
        ({"seed": -1}, "seed must be 0 to 2147483647; got -1"),
        ({"seed": 2**31}, "seed must be"),
        ({"frames": 3}, "cannot generate 3 latent frames"),
        ({"frames": 0}, "cannot generate 0 latent frames"),
        ({"device": "gpu"}, "'gpu' is no device"),
        ({"device": "meta"}, "device meta is not supported"),
        ({"kernel": "cudnn"}, "attention kernel cudnn cannot run on cpu"),
        ({"kernel": "warp"}, "no attention kernel is called 'warp'"),
    ],
)
def test_a_mistake_is_one_clear_sentence(registry: Registry, changes, message):
    with pytest.raises(KvbenchError, match=message):
        plan(registry, **changes)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_said():
    assert find_device("auto") == torch.device("cpu")
    with pytest.raises(KvbenchError, match="no device cuda:3"):
        find_device("cuda:3")


def test_a_cell_keeps_its_id_however_the_method_is_written(registry: Registry):
    made = plan(registry, "COARSE")
    again = plan(registry, "coarse(0.25)")
    assert [cell.id for cell in made.cells] == [cell.id for cell in again.cells]


def test_everything_that_changes_the_video_changes_the_id(registry: Registry):
    suite = Suite(name="other", prompts=(Prompt(id="ball", index=0, text="a red ball rolls"),))
    plans = [
        plan(registry, "COARSE"),
        plan(registry, "COARSE", seed=1),
        plan(registry, "COARSE", frames=4),
        plan(registry, "COARSE", suite=suite),
        plan(registry, "COARSE", prompts="cube"),
        plan(registry, "COARSE@reconstruct"),
        plan(registry, "COARSE(step=0.5)"),
    ]
    assert len({made.cells[1].id for made in plans}) == len(plans)


WORDS = st.text(min_size=1, max_size=80).filter(lambda t: t.isprintable() and t == t.strip())


@given(WORDS, WORDS)
def test_ids_are_file_names_whatever_the_prompt_is_called(expression: str, prompt: str):
    method = Method(label="", expression=expression, integration="streaming")
    entry = Prompt(id=prompt, index=0, text="x")
    assert re.fullmatch(r"[a-z0-9-]{1,120}", cell_key(method, "s", entry, 0, 4).id)
