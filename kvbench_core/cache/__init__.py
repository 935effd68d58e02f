"""The cache interface and the caches that most methods are made of."""

from kvbench_core.cache.codec import BF16, DenseCodec, ErrorBound, KVCodec, Planes, TensorCodec
from kvbench_core.cache.context import CacheContext, Rotation
from kvbench_core.cache.dense import DenseCache
from kvbench_core.cache.gap import Gap
from kvbench_core.cache.layer import LayerCache, Materialised, SegmentedCache
from kvbench_core.cache.ledger import held_bytes
from kvbench_core.cache.queue import QueueCache, Tier
from kvbench_core.cache.segment import Segment, StoredSegment, SummarySegment, ZeroSegment
from kvbench_core.cache.store import TokenStore
from kvbench_core.cache.window import WindowCache

__all__ = [
    "BF16",
    "CacheContext",
    "DenseCache",
    "DenseCodec",
    "ErrorBound",
    "Gap",
    "KVCodec",
    "LayerCache",
    "Materialised",
    "Planes",
    "QueueCache",
    "Rotation",
    "Segment",
    "SegmentedCache",
    "StoredSegment",
    "SummarySegment",
    "TensorCodec",
    "Tier",
    "TokenStore",
    "WindowCache",
    "ZeroSegment",
    "held_bytes",
]
