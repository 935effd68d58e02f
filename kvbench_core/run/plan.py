"""What to do: every cell of a run, checked before anything is generated."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from attrs import evolve, frozen

from kvbench_core.attention import choose_kernel
from kvbench_core.backend import AUTO, Backend
from kvbench_core.errors import (
    BackendError,
    ExpressionError,
    KvbenchError,
    ParameterError,
    UnknownNameError,
)
from kvbench_core.integration import INTEGRATIONS, integrate
from kvbench_core.naming import split_integration
from kvbench_core.policy import Policy
from kvbench_core.registry import Registry
from kvbench_core.run.records import CellKey, DecodeMode, Method, Request
from kvbench_core.run.store import file_sha256
from kvbench_core.suite import Prompt, Suite

REFERENCE = "BF16"
LARGEST_SEED = 2**31 - 1


@frozen(kw_only=True)
class Plan:
    """A run that can be started: the reference first for each prompt, then the other methods."""

    request: Request
    device: torch.device
    backend: Backend
    methods: tuple[Method, ...]
    policies: dict[Method, Policy]
    prompts: tuple[Prompt, ...]
    cells: tuple[CellKey, ...]
    kernel: str
    """The attention kernel as asked for, ``auto`` included."""


def make_plan(
    registry: Registry,
    *,
    backend: str,
    methods: Iterable[str],
    integration: str,
    suite: Suite | None,
    prompts: str,
    seed: int,
    frames: int | None,
    device: str,
    kernel: str,
    weights: str = AUTO,
    resolution: tuple[int, int] | None = None,
    continue_from: Path | None = None,
    decode: DecodeMode = "end",
) -> Plan:
    """Resolve and check a request.

    ``methods`` are names, expressions, families, tags or ``all``; ``prompts`` is a number or ids.
    ``suite`` and ``frames`` default to the backend's.

    Raises:
        KvbenchError: a name, a parameter, a prompt id or a combination of them is wrong.
    """
    generator = registry.backend(backend).configured(
        weights=weights, resolution=resolution, continue_from=continue_from
    )
    length = generator.default_frames if frames is None else frames
    generator.check_frames(length)
    if not 0 <= seed <= LARGEST_SEED:
        raise ParameterError("run", "seed", f"0 to {LARGEST_SEED}", seed)
    place = find_device(device)
    choose_kernel(kernel, place, torch.bfloat16)
    chosen_suite = suite or registry.suite(generator.default_suite)
    policies = choose_methods(registry, methods, integration)
    chosen = choose_prompts(chosen_suite, prompts)
    return Plan(
        request=Request(
            backend=backend,
            suite=chosen_suite.name,
            frames=length,
            seed=seed,
            device=device_name(place),
            weights=generator.weights,
            resolution=resolution_name(generator.resolution),
            continues=None if continue_from is None else file_sha256(continue_from),
            decode=decode,
        ),
        device=place,
        backend=generator,
        methods=tuple(policies),
        policies=policies,
        prompts=chosen,
        cells=tuple(
            cell_key(method, chosen_suite.name, prompt, seed + prompt.index, length)
            for prompt in chosen
            for method in policies
        ),
        kernel=kernel,
    )


def choose_methods(
    registry: Registry, texts: Iterable[str], integration: str
) -> dict[Method, Policy]:
    """Each distinct method with its policy; the reference comes first, asked for or not."""
    found: dict[tuple[str, str], Method] = {}
    for text in (REFERENCE, *texts):
        name, attached = split_integration(text, integration)
        if attached not in INTEGRATIONS:
            raise UnknownNameError("integration", attached, INTEGRATIONS)
        for label in registry.select([name]):
            method = _method(registry, label, attached)
            found.setdefault(method.key, method)
    return {
        method: integrate(registry.policy(method.expression), method.integration)
        for method in found.values()
    }


def _method(registry: Registry, label: str, integration: str) -> Method:
    expression = "+".join(str(term) for term in registry.expand(label))
    try:
        method = Method(label=label, expression=expression, integration=integration)
    except ValueError:
        raise ExpressionError(f"method {label[:60]!r} is too long or not on one line") from None
    # Nothing is coded, so nothing is rebuilt: the reference is the same either way.
    return evolve(method, integration="streaming") if method.is_reference else method


def choose_prompts(suite: Suite, wanted: str) -> tuple[Prompt, ...]:
    """The first N prompts, or those with the given ids, in the suite's order."""
    if re.fullmatch(r"\d{1,9}", wanted.strip()):
        number = int(wanted)
        if not 1 <= number <= len(suite.prompts):
            rule = f"1 to {len(suite.prompts)} for suite {suite.name}, or prompt ids"
            raise ParameterError("run", "prompts", rule, number)
        return suite.prompts[:number]
    known = {prompt.id for prompt in suite.prompts}
    ids = {name.strip() for name in wanted.split(",")} - {""}
    for name in sorted(ids):
        if name not in known:
            raise UnknownNameError(f"prompt of suite {suite.name}", name, known)
    if not ids:
        raise KvbenchError("name at least one prompt, or say how many")
    return tuple(prompt for prompt in suite.prompts if prompt.id in ids)


def cell_key(method: Method, suite: str, prompt: Prompt, seed: int, frames: int) -> CellKey:
    """The cell's key; its id is readable, safe as a file name and as unique as SHA-256."""
    identity = [method.expression, method.integration, suite, prompt.id, seed, frames]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    words = f"{method.expression} {method.integration}".removesuffix(" streaming")
    return CellKey(
        id=f"{_slug(words, 60)}--{_slug(prompt.id, 30)}--{digest}",
        method=method,
        prompt=prompt.id,
        seed=seed,
        frames=frames,
    )


def _slug(text: str, length: int) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:length].strip("-") or "x"


def find_device(name: str) -> torch.device:
    """A device by name; ``auto`` takes the GPU if there is one.

    Raises:
        BackendError: there is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BackendError(f"{name!r} is no device; use auto, cpu, cuda or cuda:0") from None
    if device.type not in ("cpu", "cuda"):
        raise BackendError(f"device {name} is not supported; use auto, cpu, cuda or cuda:0")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise BackendError(f"this machine has no device {name}; `kvbench doctor` lists what it has")
    return device


def resolution_name(size: tuple[int, int] | None) -> str | None:
    """``(832, 480)`` as ``832x480``."""
    return None if size is None else f"{size[0]}x{size[1]}"


def device_name(device: torch.device) -> str:
    """What a run is bound to: ``cpu``, or the GPU's model, whichever of several it is."""
    if device.type == "cpu":
        return "cpu"
    return f"cuda ({torch.cuda.get_device_name(device)})"
