"""Weight files in the published layouts load; wrong ones are named before anything is placed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kvbench_core.errors import BackendError
from kvbench_selfforcing_wan.full.checkpoint import (
    assign,
    check,
    merged,
    on_meta,
    open_file,
    transformer_weights,
)
from kvbench_selfforcing_wan.transformer import CausalWanTransformer

Names = dict[str, Tensor]


@pytest.fixture
def plain(small: CausalWanTransformer) -> Names:
    return dict(small.state_dict())


@pytest.fixture
def blank(small: CausalWanTransformer) -> CausalWanTransformer:
    model: CausalWanTransformer = on_meta(lambda: CausalWanTransformer(small.config))
    return model


def prefixed(weights: Names, prefix: str) -> Names:
    return {prefix + name: tensor for name, tensor in weights.items()}


def wrapped(weights: Names) -> Names:
    return {
        name.replace("blocks.0.", "blocks.0._checkpoint_wrapped_module."): tensor
        for name, tensor in prefixed(weights, "model._fsdp_wrapped_module.").items()
    }


@pytest.mark.parametrize(
    "contain",
    [
        lambda w: {"generator_ema": prefixed(w, "model.")},
        lambda w: {"generator": prefixed(w, "model."), "critic": {"x": torch.zeros(1)}},
        lambda w: {"model": wrapped(w)},
        lambda w: w,
        lambda w: prefixed(w, "module.model."),
    ],
    ids=["ema", "generator", "wrapped", "flat", "module"],
)
def test_every_published_container_loads(
    plain: Names, blank: CausalWanTransformer, tmp_path: Path, contain: Callable[[Names], Any]
) -> None:
    path = tmp_path / "x.pt"
    torch.save(contain(plain), path)
    weights = transformer_weights(path, "generator_ema")
    check(blank, weights, path)
    assign(blank, weights, torch.device("cpu"), torch.bfloat16)
    assert blank.dtype == torch.bfloat16
    for name, tensor in blank.state_dict().items():
        assert torch.equal(tensor, plain[name].bfloat16())


def test_the_named_copy_is_preferred(plain: Names, tmp_path: Path) -> None:
    other = {name: tensor + 1 for name, tensor in plain.items()}
    path = tmp_path / "x.pt"
    torch.save({"generator": plain, "generator_ema": other}, path)
    for key, expected in (("generator", plain), ("generator_ema", other), ("absent", other)):
        weights = transformer_weights(path, key)
        assert torch.equal(weights["head.head.bias"], expected["head.head.bias"])


def test_safetensors_load_too(plain: Names, blank: CausalWanTransformer, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "x.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in plain.items()}, path)
    check(blank, transformer_weights(path, "generator_ema"), path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("head.head.bias"), "lacks the tensor 'head.head.bias'"),
        (lambda w: w.update(extra=torch.zeros(1)), "has an unknown tensor 'extra'"),
        (
            lambda w: w.update({"head.head.bias": torch.zeros(3)}),
            r"'head.head.bias' has shape \(3,\); this model's is \(16,\)",
        ),
        (
            lambda w: w.update({"head.head.bias": torch.zeros(16, dtype=torch.int64)}),
            "'head.head.bias' is no tensor of floating-point",
        ),
        (lambda w: w.update({"head.head.bias": {}}), "'head.head.bias' is no tensor"),
    ],
    ids=["missing", "unknown", "shape", "integers", "nested"],
)
def test_another_models_file_is_named_with_the_tensor(
    plain: Names,
    blank: CausalWanTransformer,
    tmp_path: Path,
    change: Callable[[Names], object],
    message: str,
) -> None:
    path = tmp_path / "wrong.pt"
    change(plain)
    torch.save({"generator_ema": prefixed(plain, "model.")}, path)
    with pytest.raises(BackendError, match=message) as caught:
        check(blank, transformer_weights(path, "generator_ema"), path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_truncated_file_is_said_to_be_incomplete(
    plain: Names, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "cut.pt"
    torch.save({"generator_ema": plain}, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BackendError, match=r"cut.pt .*not downloaded completely"):
        transformer_weights(path, "generator_ema")


@pytest.mark.parametrize(
    "content", [b"<html>Not found</html>", b"PK", b"\x80\x02", b"html\n", b"(lp0\n."]
)
def test_what_is_no_checkpoint_is_said_to_be_damaged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page.pt"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"page.pt .*damaged"):
        open_file(path)


def test_files_of_old_versions_load(plain: Names, tmp_path: Path) -> None:
    torch.save(plain, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert open_file(tmp_path / "old.pt").keys() == plain.keys()


@given(st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.pt"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"any\.pt"):
        open_file(path)


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch ran",)


def test_code_in_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"generator_ema": Attack()}, "bad.pt")
    with pytest.raises(BackendError, match="holds more than tensors"):
        open_file(Path("bad.pt"))
    assert not Path("ran").exists()


def test_what_holds_no_names_is_refused(tmp_path: Path) -> None:
    torch.save([torch.zeros(1)], tmp_path / "list.pt")
    with pytest.raises(BackendError, match="holds a list, not named tensors"):
        open_file(tmp_path / "list.pt")
    with pytest.raises(BackendError, match=r"cannot read .*No such file"):
        open_file(tmp_path / "none.pt")


def test_an_adapter_is_merged(plain: Names, tmp_path: Path) -> None:
    layer = "blocks.1.ffn.0"
    a, b = torch.randn(4, 64), torch.randn(160, 4)
    path = tmp_path / "lora.pt"
    names = {f"base_model.model.{layer}.lora_{x}.weight": v for x, v in (("A", a), ("B", b))}
    torch.save({"generator_lora": names}, path)
    result = merged(plain, path)
    changed = {name for name in plain if not torch.equal(result[name], plain[name])}
    assert changed == {f"{layer}.weight"}
    torch.testing.assert_close(result[f"{layer}.weight"], plain[f"{layer}.weight"] + b @ a)
    torch.save({"generator_lora": {"base_model.model.other.lora_A.weight": a}}, path)
    with pytest.raises(BackendError, match="belongs to no layer"):
        merged(plain, path)
    del names[f"base_model.model.{layer}.lora_B.weight"]
    torch.save({"generator_lora": names}, path)
    with pytest.raises(BackendError, match="incomplete"):
        merged(plain, path)
