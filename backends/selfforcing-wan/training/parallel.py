"""Every chunk of a clip in one forward pass, by a mask over [clean, noisy, first] frames.

*Clean* frames carry the history at timestep 0 and see clean frames of their own and earlier
chunks inside the window. *Noisy* frames see the clean frames of earlier chunks in the window and
their own chunk. *First* frames are extra first chunks: they see their own chunk only. One pass thus
equals the noisy and clean passes of a rollout over the whole clip (tests check that it does).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from kvbench_selfforcing_wan.config import WanConfig
from kvbench_selfforcing_wan.rope import Rotary
from kvbench_selfforcing_wan.tiny.model import TinyModel

CLEAN, NOISY, FIRST = range(3)


class Layout:
    """Which frame of the long sequence is what: kind, chunk and temporal position."""

    def __init__(self, config: WanConfig, frames: int, firsts: int) -> None:
        size = config.chunk_frames
        clip, extra = torch.arange(frames), torch.arange(firsts * size)
        self.config, self.frames, self.firsts = config, frames, firsts
        self.kind = torch.cat(
            [torch.full_like(x, k) for x, k in ((clip, CLEAN), (clip, NOISY), (extra, FIRST))]
        )
        self.chunk = torch.cat((clip // size, clip // size, extra // size))
        self.position = torch.cat((clip, clip, extra % size))

    def visible(self, query: Tensor, key: Tensor) -> Tensor:
        """Whether frame ``query`` of the sequence sees frame ``key``."""
        kind_q, kind_k = self.kind[query], self.kind[key]
        back = self.chunk[query] - self.chunk[key]
        in_window = back < self.config.window_frames // self.config.chunk_frames
        history = (kind_k == CLEAN) & in_window & (back >= 0) & (kind_q != FIRST)
        history = history & ((kind_q == CLEAN) | (back > 0))
        return history | ((kind_k == kind_q) & (kind_q != CLEAN) & (back == 0))

    def token_mask(self) -> Tensor:
        """The same as a table ``[query token, key token]``, for short clips on the CPU."""
        frames = torch.arange(len(self.kind)).repeat_interleave(self.config.tokens_per_frame)
        return self.visible(frames[:, None], frames[None])

    def block_mask(self, device: torch.device | str) -> BlockMask:
        """The mask over tokens, for flex attention."""
        per_frame = self.config.tokens_per_frame
        frames = torch.arange(len(self.kind))
        table = self.visible(frames[:, None], frames[None]).to(device)

        def token_sees(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return table[query // per_frame, key // per_frame]

        tokens = len(self.kind) * per_frame
        return create_block_mask(token_sees, None, None, tokens, tokens, device=str(device))


class ParallelForward:
    """The compiled pass: flow of the noisy and first frames."""

    def __init__(self, model: TinyModel, layout: Layout, *, compiled: bool = True) -> None:
        device = model.text_table.weight.device
        self._layout, self._model = layout, model
        self._on_gpu = device.type == "cuda"
        self._mask = layout.block_mask(device) if self._on_gpu else layout.token_mask()
        self._rotary = model.transformer.rotary(layout.position.tolist())
        self._run = torch.compile(self._forward, dynamic=False) if compiled else self._forward

    def __call__(self, frames: Tensor, timestep: Tensor, ids: Tensor) -> Tensor:
        """``frames [batch, sequence frame, channel, height, width]``, ``timestep [batch, frame]``.

        Returns the flow of all frames but the clean ones.
        """
        return self._run(frames, timestep, ids, self._rotary.turn)

    def _attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if self._on_gpu:
            out = flex_attention(q, k, v, block_mask=self._mask)
        else:
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=self._mask)
        return out.transpose(1, 2)

    def _forward(self, frames: Tensor, timestep: Tensor, ids: Tensor, turn: Tensor) -> Tensor:
        model = self._model.transformer
        text = model.text_context(self._model.text_table(ids))
        flow = model(frames, timestep, text, Rotary(turn), self._attend)
        return flow[:, self._layout.frames :]
