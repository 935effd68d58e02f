"""Whether a request fits into a run directory that exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attrs import asdict, evolve

from kvbench_core.errors import StoreError
from kvbench_core.run.records import Manifest, Method, Request
from kvbench_core.suite import Prompt, prompt_digest


def merged(root: Path, known: Manifest, new: Manifest) -> Manifest:
    """The known manifest with the new one's methods, prompts and session added.

    Raises:
        StoreError: the two disagree; the message names the difference.
    """
    refuse(root, known.request, new.request)
    for difference in _prompt_differences(known.prompts, new.prompts):
        raise StoreError(f"{root} holds another run: {difference}; choose another --out")
    prompts = {prompt.id: prompt for prompt in (*known.prompts, *new.prompts)}
    ordered = sorted(prompts.values(), key=lambda prompt: prompt.index)
    return evolve(
        known,
        status="running",
        methods=_united(known.methods, new.methods),
        prompts=ordered,
        prompt_digest=prompt_digest(ordered),
        sessions=[*known.sessions, *new.sessions],
    )


def refuse(root: Path, known: Request, new: Request) -> None:
    """Compare what all cells have in common, as far as both sides know it.

    Raises:
        StoreError: naming the first thing that differs.
    """
    for name, before in asdict(known).items():
        after = getattr(new, name)
        if before is not None and after is not None and before != after:
            raise StoreError(
                f"{root} holds another run: its {name.replace('_', ' ')} is {before}, not {after}; "
                "choose another --out"
            )


def _prompt_differences(known: list[Prompt], new: list[Prompt]) -> Iterator[str]:
    before = {prompt.id: prompt for prompt in known}
    for prompt in new:
        old = before.get(prompt.id, prompt)
        if old.text != prompt.text:
            yield f"the text of prompt {prompt.id} has changed"
        if old.index != prompt.index:
            yield (
                f"prompt {prompt.id} was number {old.index} of its suite and is now "
                f"{prompt.index}, so its seed would change"
            )


def _united(known: list[Method], new: list[Method]) -> list[Method]:
    names = {method.key for method in known}
    return [*known, *(method for method in new if method.key not in names)]
