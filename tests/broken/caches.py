"""Wrong caches and policies, each a small change of a correct one."""

from __future__ import annotations

from collections import deque
from typing import ClassVar

import torch
from attrs import evolve, field, frozen

from broken.base import KEPT, SummaryCache, Sym4, Sym4Cache, pair
from kvbench_core.attention import Partial
from kvbench_core.cache import BF16, DenseCache, QueueCache, Tier
from kvbench_core.cache.segment import visible
from kvbench_core.cache.store import TokenStore
from kvbench_core.errors import CacheError
from kvbench_core.policy import Policy, Promise


class UnderReported(Sym4Cache):
    """Forgets the scales."""

    def stored_bytes(self):
        planes = [plane for store in self._stores for plane in store._planes or ()]
        return sum(plane.codes.untyped_storage().nbytes() for plane in planes)


STASH = deque(maxlen=2)


class Stashed(DenseCache):
    """Keeps a copy where nobody looks."""

    def attend(self, q, k, v, step):
        STASH.append(torch.cat([k, v]))
        return super().attend(q, k, v, step)


class OutOfSight(Sym4Cache):
    """Keeps a second copy in numpy's memory, which the ledger does not know."""

    def __init__(self, layer, context):
        super().__init__(layer, context)
        self._copies = []

    def write(self, k, v, step):
        if not k.is_meta:
            self._copies.append(k.float().numpy().copy())
        super().write(k, v, step)


class LeaksBetweenLayers(Sym4Cache):
    """All layers clip at half the largest value that any of them has seen."""

    def write(self, k, v, step):
        if not k.is_meta:
            shared = self.context.shared
            shared["largest"] = max(shared.get("largest", 0.0), float(k.abs().max()))
            k = k.clamp(-shared["largest"] / 2, shared["largest"] / 2)
        super().write(k, v, step)


@frozen
class LeaksBetweenPrompts(Policy):
    """The policy object remembers the largest key of all rollouts."""

    largest: list = field(factory=lambda: [0.0], eq=False)

    def layer_cache(self, layer, context):
        largest = self.largest

        class Cache(Sym4Cache):
            def write(self, k, v, step):
                if not k.is_meta:
                    largest[0] = max(largest[0], float(k.abs().max()))
                super().write(k.clamp(-largest[0] / 2, largest[0] / 2), v, step)

        return Cache(layer, context)

    def promise(self):
        return Promise(codings=None, independent_layers=False)


class LeaksThroughTheClass(Sym4Cache):
    """Statistics on the class survive the rollout."""

    seen: ClassVar[list[float]] = []

    def write(self, k, v, step):
        if not k.is_meta:
            self.seen.append(float(k.abs().max()))
        super().write(k * (1 + 0.01 * len(self.seen)), v, step)


class Recoding(QueueCache):
    """Decodes and codes all history again for every chunk."""

    def __init__(self, layer, context, codec):
        super().__init__(layer, context, tiers=(), last=pair(codec))

    def begin_chunk(self, step):
        (store,) = self._stores
        if store.tokens:
            k, v = self._take(store, store.tokens)
            self._stores = [TokenStore(store.codec)]
            self._stores[0].append(k, v)


@frozen
class CountsOnce:
    """A kernel whose results cannot be repeated."""

    inner: object

    def partial(self, q, k, v):
        found = self.inner.partial(q, k, v)
        return Single(found.out, found.lse)


class Single(Partial):
    def repeated(self, multiplicity):
        return self


class NoMultiplicity(SummaryCache):
    """A summary of n tokens counts as one."""

    def __init__(self, layer, context):
        super().__init__(layer, evolve(context, kernel=CountsOnce(context.kernel)))


@frozen
class WeighsNothing:
    """A kernel that gives all its results the same weight."""

    inner: object

    def partial(self, q, k, v):
        found = self.inner.partial(q, k, v)
        return Partial(found.out, torch.zeros_like(found.lse))


class AveragesPartials(SummaryCache):
    """Merges by averaging."""

    def __init__(self, layer, context):
        super().__init__(layer, evolve(context, kernel=WeighsNothing(context.kernel)))


class SilentDtype(Sym4Cache):
    """Returns float32 for bf16 queries."""

    def attend(self, q, k, v, step):
        return super().attend(q, k, v, step).float()


class ReturnsScratch(Sym4Cache):
    """Hands out memory that the next call overwrites."""

    def attend(self, q, k, v, step):
        out = super().attend(q, k, v, step)
        scratch, _ = self.context.scratch.take(out, out.shape[1])
        return scratch.copy_(out)


class BeyondTheWindow(Sym4Cache):
    """Reads all that it has."""

    def attend(self, q, k, v, step):
        geometry = evolve(step.geometry, window_frames=None)
        return super().attend(q, k, v, evolve(step, geometry=geometry))


class NoSink(Sym4Cache):
    """Reads a whole window of the newest frames and no sink."""

    def attend(self, q, k, v, step):
        geometry = evolve(step.geometry, sink_frames=0)
        return super().attend(q, k, v, evolve(step, geometry=geometry))


class StoresTheFirstPass(Sym4Cache):
    """Writes what the first, noisy pass sends."""

    def attend(self, q, k, v, step):
        if step.denoise_index == 0:
            self._tentative = k.clone(), v.clone()
        return super().attend(q, k, v, step)

    def write(self, k, v, step):
        super().write(*self._tentative, step)
        self._tentative = None


class IgnoresTheRecentWindow(Sym4Cache):
    """Promised to keep two chunks; codes them all."""


class ForgetsTheCurrentChunk(QueueCache):
    """Keeps one recent chunk where two are promised."""

    def __init__(self, layer, context):
        window = context.geometry.tokens_per_chunk
        super().__init__(layer, context, [Tier(BF16, lambda _: window)], last=pair(Sym4()))


class StoresNaN(Sym4Cache):
    """Codes whatever comes."""

    def attend(self, q, k, v, step):
        history = visible(self.segments(), step.visible_history())
        out = self.context.attend(q, k, v, history)
        if step.is_context:
            self.write(k, v, step)
        return out


class VagueAboutNaN(Sym4Cache):
    """Refuses, but does not say what and where."""

    def attend(self, q, k, v, step):
        try:
            return super().attend(q, k, v, step)
        except CacheError:
            raise CacheError("bad values") from None


@frozen
class StaysBusy(Policy):
    """A mark that an exception leaves standing changes the next rollout."""

    busy: list = field(factory=list, eq=False)

    def layer_cache(self, layer, context):
        busy = self.busy

        class Cache(Sym4Cache):
            def attend(self, q, k, v, step):
                stuck = bool(busy)
                busy.append(1)
                out = super().attend(q, k, v, step)
                busy.pop()
                return out * 0.5 if stuck else out

        return Cache(layer, context)

    def promise(self):
        return KEPT


class DropsATail(Sym4Cache):
    """Shows only whole groups; what waits for its group is not read."""

    def segments(self):
        for segment in super().segments():
            coded = segment.store.coded_tokens
            if coded:
                yield evolve(segment, stop=segment.start + coded)


class UnequalLayers(QueueCache):
    """Later layers keep more, which the promise does not say."""

    def __init__(self, layer, context):
        window = layer * context.geometry.tokens_per_frame
        super().__init__(layer, context, [Tier(BF16, lambda _: window)], last=pair(Sym4()))


class ForgetsTooMuch(Sym4Cache):
    """Takes the window to be one frame shorter than it is."""

    def forget(self, start, stop):
        super().forget(start, stop + (stop and self.context.geometry.tokens_per_frame))


class ForgetsKeysOnly(Sym4Cache):
    """Keeps all values, whatever it is told."""

    def __init__(self, layer, context):
        super().__init__(layer, context)
        self._values = []

    def write(self, k, v, step):
        self._values.append(Sym4().encode(v))
        super().write(k, v, step)


class CodesAgainToForget(Recoding):
    """Codes all history again before it forgets a part of it."""

    def begin_chunk(self, step):
        """What the correct cache does."""

    def forget(self, start, stop):
        if stop > self._gap.stop:
            Recoding.begin_chunk(self, None)
        super().forget(start, stop)


class PlansByWhatIsLeft(QueueCache):
    """Half of the tokens are new: of those that are held, not of all that were generated."""

    def __init__(self, layer, context):
        tiers = [Tier(BF16, lambda total: (total - self._gap.stop) // 2)]
        super().__init__(layer, context, tiers, last=pair(Sym4()))
