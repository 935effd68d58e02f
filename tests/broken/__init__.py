"""Policies that break one clause of the contract each, and two that break none."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from broken import caches, codecs
from broken.base import KEPT, SUMMARISED, Caches, SummaryCache, Sym4, Sym4Cache, coded
from kvbench_core.policy import Promise

CORRECT = {
    "codec": lambda: coded(Sym4()),
    "cache": lambda: Caches(Sym4Cache, KEPT),
    "summaries": lambda: Caches(SummaryCache, SUMMARISED),
    "shrinking": lambda: coded(codecs.Shrinking()),
}

BROKEN = {
    "unpacked": (lambda: coded(codecs.Unpacked()), "P4"),
    "codes as floats": (lambda: coded(codecs.CodesAsFloats()), "P4"),
    "clamped zero point": (lambda: coded(codecs.ClampedZeroPoint()), "P9"),
    "divides by zero": (lambda: coded(codecs.DividesByZero()), "P9"),
    "not deterministic": (lambda: coded(codecs.NonDeterministic()), "P13"),
    "global random generator": (lambda: coded(codecs.GlobalRandom()), "P13"),
    "changes keys": (lambda: coded(codecs.Mutating()), "P2"),
    "keeps a view": (lambda: coded(codecs.KeepsView()), "P2"),
    "one scale per call": (lambda: coded(codecs.OneScalePerCall()), "P9"),
    "looks at values": (lambda: coded(codecs.LooksAtValues()), "P18"),
    "groups on the wrong axis": (lambda: coded(codecs.TokensLast()), "P22"),
    "promises nothing": (lambda: coded(codecs.PromisesNothing()), "P9"),
    "under-reported": (lambda: Caches(caches.UnderReported, KEPT), "P3"),
    "stashed": (lambda: Caches(caches.Stashed, KEPT), "P3"),
    "out of sight": (lambda: Caches(caches.OutOfSight, KEPT), "P3"),
    "leaks between layers": (
        lambda: Caches(caches.LeaksBetweenLayers, Promise(codings=None, chunk_invariant=False)),
        "P15",
    ),
    "leaks between prompts": (caches.LeaksBetweenPrompts, "P14"),
    "leaks through the class": (
        lambda: Caches(caches.LeaksThroughTheClass, Promise(codings=None)),
        "P14",
    ),
    "codes history again": (
        lambda: Caches(
            partial(caches.Recoding, codec=codecs.Shrinking()), Promise(chunk_invariant=False)
        ),
        "P12",
    ),
    "no multiplicity": (lambda: Caches(caches.NoMultiplicity, SUMMARISED), "P5"),
    "averages partials": (lambda: Caches(caches.AveragesPartials, SUMMARISED), "P5"),
    "silent dtype": (lambda: Caches(caches.SilentDtype, KEPT), "P1"),
    "returns scratch": (lambda: Caches(caches.ReturnsScratch, KEPT), "P1"),
    "beyond the window": (lambda: Caches(caches.BeyondTheWindow, KEPT), "P6"),
    "no sink": (lambda: Caches(caches.NoSink, KEPT), "P6"),
    "stores the first pass": (lambda: Caches(caches.StoresTheFirstPass, KEPT), "P7"),
    "ignores the recent window": (
        lambda: Caches(Sym4Cache, evolve(KEPT, exact_chunks=2)),
        "P10",
    ),
    "forgets the current chunk": (
        lambda: Caches(caches.ForgetsTheCurrentChunk, evolve(KEPT, exact_chunks=2)),
        "P10",
    ),
    "stores NaN": (lambda: Caches(caches.StoresNaN, KEPT), "P17"),
    "vague about NaN": (lambda: Caches(caches.VagueAboutNaN, KEPT), "P17"),
    "stays busy": (caches.StaysBusy, "P16"),
    "drops a tail": (lambda: Caches(caches.DropsATail, KEPT), "P11"),
    "unequal layers": (lambda: Caches(caches.UnequalLayers, KEPT), "P18"),
    "forgets a frame too many": (lambda: Caches(caches.ForgetsTooMuch, KEPT), "P24"),
    "forgets keys only": (lambda: Caches(caches.ForgetsKeysOnly, KEPT), "P24"),
    "codes again to forget": (
        lambda: Caches(partial(caches.CodesAgainToForget, codec=codecs.Shrinking()), KEPT),
        "P24",
    ),
    "plans by what is left": (lambda: Caches(caches.PlansByWhatIsLeft, Promise()), "P24"),
}
