"""The bar waits for no GPU at every step; a slow precision is told, and told alone."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from careergpt.training.progress import Progress, slow_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("device", "steps"), [("cpu", 1), ("cuda", 20)])
def test_a_gpu_is_asked_for_its_loss_now_and_then(
    device: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = Progress()
    where = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))
    monkeypatch.setattr(Progress, "trainer", where)
    assert bar.refresh_rate == steps


def test_the_bar_tells_what_the_whole_run_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 130.0])
    monkeypatch.setattr("careergpt.training.progress.time.monotonic", lambda: next(clock))
    monkeypatch.setattr(TQDMProgressBar, "on_train_start", lambda *_: None)
    monkeypatch.setattr(TQDMProgressBar, "get_metrics", lambda *_: {"train/loss": 2.0})
    run = Mock(spec=Trainer, global_step=10, estimated_stepping_batches=400, callbacks=[])
    module = Mock(spec=LightningModule)
    bar = Progress()
    bar.on_train_start(run, module)
    assert bar.get_metrics(run, module) == {"train/loss": 2.0}
    run.global_step = 40
    assert bar.get_metrics(run, module) == {"train/loss": 2.0, "left": "0:06:00"}


@pytest.mark.parametrize(
    ("precision", "capabilities", "slow"),
    [
        ("32-true", {}, False),
        ("bf16-mixed", {"avx2": True}, True),
        ("bf16-mixed", {"amx_bf16": True}, False),
        ("bf16-true", {"avx512_bf16": True}, False),
        ("16-true", {"avx512_bf16": True}, True),
        ("16-true", {"amx_fp16": True}, False),
        ("16-true", {"fp16_arith": True}, False),
    ],
)
def test_a_precision_without_units_is_named(
    precision: str, capabilities: dict[str, Any], slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    found = slow_precision(precision, CPU)
    assert (found is not None) == slow
    if found:
        assert f"this CPU has no units for trainer.precision={precision}" in found


@pytest.mark.parametrize(
    ("precision", "capability", "slow"),
    [("bf16-mixed", (7, 5), True), ("bf16-mixed", (9, 0), False), ("16-mixed", (6, 1), True)],
)
def test_old_gpus_are_named(
    precision: str, capability: tuple[int, int], slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    found = slow_precision(precision, torch.device("cuda"))
    assert (found or "").startswith("Tesla T4") == slow
