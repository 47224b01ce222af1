"""A model is tried before it is trusted: some architectures do not fit our loss or our packing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from careergpt.data.batches import Scored, collate
from careergpt.errors import InputError
from careergpt.modeling.attention import SEGMENTS, library_attention
from careergpt.modeling.loss import hidden_states

_TOLERANCE = 1e-3


@torch.no_grad()
def check_model(model: PreTrainedModel, name: str) -> None:
    """Two short forward passes that show whether scoring and packing are exact for this model.

    Raises:
        InputError: The weights are no numbers, the head is not a linear map of the last hidden
            state, or packed examples see each other.
    """
    for weight, values in model.named_parameters():
        if not values.isfinite().all():
            raise InputError(
                f"{name}: {weight} is not finite everywhere: its training diverged, or the file is "
                "damaged; take weights from before that"
            )
    rng = torch.Generator().manual_seed(0)
    examples = [
        Scored(torch.randint(model.config.vocab_size, (length,), generator=rng).numpy(), 1)
        for length in (5, 7)
    ]
    batch = collate([examples])
    training = model.training
    model.eval().set_attn_implementation(SEGMENTS)
    try:
        packed = F.linear(hidden_states(model, batch), model.get_output_embeddings().weight)
        with library_attention(model):
            alone = [
                model(collate([[example]]).input_ids, use_cache=False).logits
                for example in examples
            ]
    except Exception as error:  # Whatever a foreign architecture raises.
        raise InputError(f"{name}: this architecture cannot be scored here ({error})") from None
    finally:
        model.train(training)
    gap = (packed - torch.cat(alone, dim=1)).abs().max()
    if not gap < _TOLERANCE * (1 + packed.abs().max()):
        raise InputError(
            f"{name}: {type(model).__name__} does not keep packed examples apart, or its logits are"
            f" not a linear map of its hidden states (logits differ by {gap:.2g}); use a GPT-2"
        )
