"""torch.compile where it pays: the blocks, as one graph for all of them and for all lengths."""

from __future__ import annotations

from torch import nn
from transformers import PreTrainedModel


def compile_blocks(model: PreTrainedModel) -> None:
    """Compiles each block in place at its first call; the names of the weights stay.

    Blocks are alike: what is compiled for the first serves the others. Sizes are symbols, so that
    batches of other lengths need nothing new.
    """
    (blocks,) = (part for part in model.base_model.children() if isinstance(part, nn.ModuleList))
    for block in blocks:
        block.compile(dynamic=True)
