"""Making one cell's record, whatever the method does."""

from __future__ import annotations

from functools import partial

from attrs import define, evolve, field

from kvbench_core.attention import choose_kernel
from kvbench_core.errors import BackendError
from kvbench_core.run.compatible import refuse
from kvbench_core.run.listener import Listener, title
from kvbench_core.run.plan import Plan
from kvbench_core.run.records import (
    CellError,
    CellKey,
    CellRecord,
    Manifest,
    Method,
    Session,
    now,
)
from kvbench_core.run.rollout import Rollout
from kvbench_core.run.store import RunStore

WARMUP_CHUNKS = 2


@define
class Maker:
    """Loads the generator when the first cell needs it, and makes cells."""

    plan: Plan
    store: RunStore
    listener: Listener
    session: Session
    _rollout: Rollout | None = field(init=False, default=None)
    _warm: set[Method] = field(init=False, factory=set)

    def make(self, cell: CellKey) -> CellRecord:
        """Generate the cell; the caller holds its lock. A failure is a record, too.

        Raises:
            BackendError: the generator cannot be loaded.
            StoreError: nothing can be written, or the directory holds another run.
        """
        rollout = self._loaded()
        self.listener.start(title(cell))
        record = partial(
            CellRecord,
            cell=cell,
            started=now(),
            session=self.session.id,
            kernel=rollout.kernel,
            environment=self.session.environment,
        )
        text = next(prompt.text for prompt in self.plan.prompts if prompt.id == cell.prompt)
        try:
            self._warm_up(rollout, cell.method)
            figures, video = rollout.make(
                self.plan.policies[cell.method],
                text,
                cell.seed,
                cell.frames,
                video=self.store.video_path(cell.id),
                on_chunk=self.listener.step,
            )
            made = record(status="ok", figures=figures, video=video, finished=now())
        except Exception as error:  # a method may raise anything; the other cells go on
            made = record(status="failed", error=CellError.of(error), finished=now())
        self.store.put_cell(made)
        return made

    def _loaded(self) -> Rollout:
        if self._rollout is None:
            plan = self.plan
            self.listener.note(f"loading {plan.request.backend} on {plan.request.device}")
            generator = plan.backend.load(plan.device)
            kernel = choose_kernel(plan.kernel, plan.device, generator.cache_dtype).name
            rollout = Rollout(plan.backend, generator, kernel, plan.request.decode)
            generator.prepare([prompt.text for prompt in plan.prompts])
            self._bind(kernel, str(generator.cache_dtype).removeprefix("torch."))
            self._warm_up(rollout, plan.methods[0])
            self._rollout = rollout
        return self._rollout

    def _bind(self, kernel: str, cache_dtype: str) -> None:
        """Write down what is only known now, unless it contradicts what is there."""
        bound = evolve(self.plan.request, kernel=kernel, cache_dtype=cache_dtype)

        def change(manifest: Manifest) -> Manifest:
            refuse(self.store.root, manifest.request, bound)
            return evolve(manifest, request=bound)

        self.store.update(change)

    def _warm_up(self, rollout: Rollout, method: Method) -> None:
        """Before the first cell; on CUDA before each method's first, which compiles kernels."""
        plan = self.plan
        if method in self._warm or (self._warm and plan.device.type != "cuda"):
            return
        frames = min(WARMUP_CHUNKS * plan.backend.geometry().chunk_frames, plan.request.frames)
        try:
            plan.backend.check_frames(frames)
        except BackendError:
            frames = plan.request.frames
        self.listener.note(f"warming up ({frames} latent frames that do not count)")
        seconds = rollout.warm_up(plan.policies[method], plan.prompts[0].text, frames)
        self._warm.add(method)
        self.session = evolve(self.session, warmup_s=(self.session.warmup_s or 0.0) + seconds)
