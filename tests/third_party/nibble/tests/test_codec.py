"""Known answers."""

import torch
from kvbench_nibble.codec import Nibble


def test_known_answer():
    """A run from -7 to 7 has scale 1 and comes back unchanged."""
    x = torch.tensor([-7.0, -3.0, 0.0, 1.0, 2.0, 5.0, 6.0, 7.0])[None, None, None]
    codec = Nibble(channels=8)
    planes = codec.encode(x)
    assert planes.codes.flatten().tolist() == [0x51, 0x98, 0xDA, 0xFE]
    out = torch.empty_like(x)
    codec.decode(planes, out)
    assert torch.equal(out, x)
