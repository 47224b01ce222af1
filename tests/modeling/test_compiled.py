"""A compiled model computes the same, and is compiled once for all lengths.

The check runs in a process of its own: what checks the shapes under pytest cannot be compiled.
"""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch


@pytest.mark.skipif(shutil.which("g++") is None, reason="compiling for a CPU needs g++")
def test_one_compilation_serves_batches_of_any_shape() -> None:
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("same") == 4


def check() -> None:
    """Four batches of other shapes: the first is compiled for, the others must need nothing."""
    from transformers import GPT2Config

    from careergpt.data.batches import Scored, collate
    from careergpt.modeling.attention import compile_blocks
    from careergpt.modeling.folder import build_model
    from careergpt.modeling.loss import completion_loss, hidden_states

    torch.manual_seed(0)
    rates = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    sizes = {"vocab_size": 61, "n_layer": 3, "n_head": 2, "n_embd": 32}
    model = build_model(GPT2Config(**sizes, **rates, bos_token_id=0, eos_token_id=0), None).train()
    head = model.get_output_embeddings().weight
    names = [name for name, _ in model.named_parameters()]
    rng = np.random.default_rng(0)
    batches = [
        collate([[Scored(rng.integers(61, size=int(n)), 3) for n in rng.integers(5, 60, size=k)]])
        for k in (5, 3, 9, 4)
    ]
    plain = []
    for batch in batches:
        loss = completion_loss(hidden_states(model, batch), batch, head)
        plain.append((loss.nats.item(), torch.autograd.grad(loss.nats, head)[0]))
    compile_blocks(model)
    assert [name for name, _ in model.named_parameters()] == names
    for number, (batch, (nats, gradient)) in enumerate(zip(batches, plain, strict=True)):
        with torch.compiler.set_stance("fail_on_recompile" if number else "default"):
            loss = completion_loss(hidden_states(model, batch), batch, head, compiled=True)
        assert abs(loss.nats.item() - nats) < 1e-5 * nats
        found = torch.autograd.grad(loss.nats, head)[0]
        assert (found - gradient).norm() < 1e-4 * gradient.norm()
        print("same")


if __name__ == "__main__":
    check()
