"""On a GPU: mixed precision through every verb, the kernel for unequal lengths, no waiting."""

import json
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from lightning import Callback, LightningDataModule, Trainer
from torch.utils.data import DataLoader

from careergpt.cli import main
from careergpt.data.batches import Scored, TokenBatch, collate
from careergpt.modeling import attention
from careergpt.modeling.loss import hidden_states, linear_cross_entropy
from careergpt.training.module import CareerModule

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"),
]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_a_gpu_fits_validates_and_predicts(
    precision: str, tables: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    common = [
        "--trainer.accelerator=gpu", "--trainer.devices=1", f"--trainer.precision={precision}",
        "--trainer.enable_progress_bar=false", "--trainer.logger=false",
        f"--data.source={tables}", f"--data.cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    run = tmp_path / "run"
    main([
        "fit", f"--model.pretrained={tiny_gpt2}", *common, "--data.batch_tokens=512",
        "--trainer.max_epochs=3", "--trainer.gradient_clip_val=1.0", "--model.lr=0.003",
        "--trainer.log_every_n_steps=1", f"--trainer.default_root_dir={run}", "--titles.limit=8",
        "--samples.max_new_tokens=4",
    ])  # fmt: skip
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [row["val/loss"] for row in rows if "val/loss" in row]
    assert len(losses) == 4
    assert losses[-1] < losses[0] < math.log(2048) + 0.1
    model = f"--model.pretrained={run / 'model'}"
    main(["validate", model, *common])
    main(["test", model, *common, "--data.splits=all", f"--json={tmp_path / 'test.json'}"])
    whole = json.loads((tmp_path / "test.json").read_text())[0]
    assert math.isfinite(whole["loss"])
    few = "--model.decoding.max_new_tokens=5"
    main(["predict", model, *common, few, f"--out={tmp_path / 'out.jsonl'}"])
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert answers
    assert all(math.isfinite(answer["log_probability"]) for answer in answers)


def batches(number: int) -> list[TokenBatch]:
    """Packed batches of unequal examples."""
    rng = np.random.default_rng(0)
    return [
        collate([[Scored(rng.integers(1, 2000, n), 2) for n in rng.integers(4, 120, 7)]])
        for _ in range(number)
    ]


def test_the_kernel_for_unequal_lengths_computes_what_sdpa_does(
    tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = CareerModule(str(tiny_gpt2), dropout=0.0)
    module.configure_model()
    model, (batch,) = module.model.to("cuda"), batches(1)
    found = []
    for fits in (attention._fits_varlen, lambda *_: False):
        monkeypatch.setattr(attention, "_fits_varlen", fits)
        with torch.autocast("cuda", torch.bfloat16):
            hidden = hidden_states(model, batch.to(torch.device("cuda")))
        gradients = torch.autograd.grad(hidden.square().sum(), list(model.base_model.parameters()))
        found.append([hidden, *gradients])
    for ours, theirs in zip(*found, strict=True):
        assert (ours - theirs).norm() <= 0.02 * theirs.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_head_s_gradients_in_half_precision_are_the_plain_ones(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    states = torch.randn(300, 64, device="cuda", requires_grad=True)
    head = torch.randn(1003, 64, device="cuda", requires_grad=True)
    targets = torch.randint(1003, (300,), device="cuda")
    plain = torch.nn.functional.cross_entropy(states @ head.T, targets, reduction="sum")
    expected = torch.autograd.grad(plain, (states, head))
    with torch.autocast("cuda", dtype):
        loss = linear_cross_entropy(states, head, targets)
    found = torch.autograd.grad(loss * 1024, (states, head))
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours / 1024 - theirs).norm() < 0.02 * theirs.norm()


@pytest.mark.parametrize("compiled", [False, True])
def test_no_step_waits_for_the_gpu(compiled: bool, tiny_gpt2: Path, tmp_path: Path) -> None:
    class Watch(Callback):
        """Makes a host wait within a step an error, once the first steps have set up all."""

        def on_train_batch_start(self, *_: Any) -> None:
            if _[-1] >= 2:
                torch.cuda.set_sync_debug_mode("error")

        def on_train_batch_end(self, *_: Any) -> None:
            torch.cuda.set_sync_debug_mode("default")

    class Given(LightningDataModule):
        tasks: ClassVar = {"describe": None}

        def train_dataloader(self) -> DataLoader[TokenBatch]:
            return DataLoader(batches(6), batch_size=None, pin_memory=True)

    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        accelerator="gpu", devices=1, precision="bf16-mixed", max_epochs=1, callbacks=[Watch()],
        default_root_dir=tmp_path, log_every_n_steps=100, limit_val_batches=0, **quiet,
    )  # fmt: skip
    try:
        trainer.fit(CareerModule(str(tiny_gpt2), compile=compiled), datamodule=Given())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.global_step == 6
