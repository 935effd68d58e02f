"""Self-forcing Wan2.1 generators: ``tiny``, trained and built in, and the full-size ones."""

from __future__ import annotations

from kvbench_core.hookspecs import hookimpl
from kvbench_core.specs import BackendSpec, SuiteSpec

TINY = BackendSpec(
    name="tiny",
    family="selfforcing-wan",
    summary="Small trained self-forcing model of moving shapes; runs on a CPU",
    target="kvbench_selfforcing_wan.tiny.backend:TinyBackend",
)
FULL_SIZE = {
    "wan-1.3b": "Self-Forcing (DMD) on Wan2.1-T2V-1.3B, 480x832",
    "self-forcing-sid": "wan-1.3b trained by score identity distillation (SiD)",
    "self-forcing-sid-v2": "wan-1.3b trained by SiD, second version",
    "self-forcing-gan": "wan-1.3b trained adversarially",
    "causvid": "CausVid: three steps, 21 latent frames",
    "causvid-4step": "CausVid: four warped steps, 21 latent frames",
    "longlive": "LongLive: a window of 12 latent frames with a sink of 3, LoRA merged",
    "causal-forcing": "Causal Forcing, chunks of 3 latent frames",
    "causal-forcing-framewise": "Causal Forcing, frame by frame",
    "causal-forcing-2step": "Causal Forcing++, frame by frame in two steps",
    "causal-forcing-1step": "Causal Forcing++, frame by frame in one step",
}


@hookimpl
def kvbench_backends() -> list[BackendSpec]:
    """One architecture in two sizes; checkpoints and rollouts of the large one."""
    module = "kvbench_selfforcing_wan.full.backend"
    large = [
        BackendSpec(
            name=name,
            family="selfforcing-wan",
            summary=summary,
            target=f"{module}:{name.replace('-', '_').replace('.', '_')}",
        )
        for name, summary in FULL_SIZE.items()
    ]
    return [TINY, *large]


@hookimpl
def kvbench_suites() -> list[SuiteSpec]:
    """Prompts that the small model was not trained on."""
    return [
        SuiteSpec(
            name="tiny",
            family="selfforcing-wan",
            summary="Held-out single-shot prompts for the small model",
            target="kvbench_selfforcing_wan.tiny.suites:single_shot",
        ),
        SuiteSpec(
            name="tiny-story",
            family="selfforcing-wan",
            summary="Held-out prompts in which something happens, for the small model",
            target="kvbench_selfforcing_wan.tiny.suites:story",
        ),
    ]
