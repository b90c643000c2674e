"""The network that a card describes."""

from __future__ import annotations

import pytest
import torch

from handler.card import Architecture
from handler.network import build


@pytest.mark.parametrize(("logits_at", "channels"), [(2, (16, 8, 8, 8)), (4, (16, 8, 8))])
def test_a_decoder_that_ends_early_answers_on_the_full_grid(logits_at: int, channels: tuple[int, ...]) -> None:
    """And where it should: a flat logit stays flat, a slope keeps its middle (corners are not aligned)."""
    network = build(Architecture(encoder="resnet18", decoder_channels=channels, logits_at=logits_at)).eval()
    assert len(network.decoder.blocks) == len(channels)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 1, 64, 96)
        up = network.segmentation_head[1]
        slope = torch.arange(8.0).expand(1, 1, 8, 8)
        wide = up(slope)[0, 0, 0]
    where = (torch.arange(8.0 * logits_at) + 0.5) / logits_at - 0.5  # a pixel's middle, in pixels of the small grid
    inner = slice(logits_at, -logits_at)
    torch.testing.assert_close(wide[inner], where[inner])


def test_parts_that_no_decoder_ends_at() -> None:
    with pytest.raises(ValueError, match="logits_at 3: expected one of 1, 2, 4"):
        build(Architecture(encoder="resnet18", logits_at=3))
