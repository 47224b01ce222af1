"""Fits of a tiny model on batches that a test lays out itself."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import LightningDataModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch.utils.data import DataLoader

from careergpt.data.batches import Scored, TokenBatch, collate
from careergpt.training.module import CareerModule

Fit = Callable[..., CareerModule]


class Given(LightningDataModule):
    """Batches as they are, in their order; both tasks are names alone."""

    def __init__(self, train: Sequence[TokenBatch], val: Sequence[TokenBatch]) -> None:
        super().__init__()
        self.tasks, self.seed, self.form = {"describe": None, "path": None}, 0, "plain"
        self._train, self._val = list(train), list(val)

    @property
    def dataset(self) -> "Given":
        """Itself, for what a step's callbacks ask of it."""
        return self

    def tasks_in(self, split: int) -> list[str]:
        return list(self.tasks)

    def places_of(self, examples: Sequence[int]) -> list[dict[str, str]]:
        return [{"id": f"record {example}"} for example in examples]

    def train_dataloader(self) -> DataLoader[TokenBatch]:
        return DataLoader(self._train, batch_size=None)

    def val_dataloader(self) -> DataLoader[TokenBatch]:
        return DataLoader(self._val, batch_size=None)


class Plain(CareerModule):
    """Steps by plain gradient descent at a rate of 1: a weight's change is its gradient."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"lr": 1.0, "weight_decay": 0.0, **settings})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        steady = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": steady, "interval": "step"}}


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As ranks have: the number of threads may decide a sum's last digits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def examples() -> list[Scored]:
    """Twelve examples of very different lengths, of two tasks."""
    rng = np.random.default_rng(0)
    lengths = [2, 90, 5, 17, 60, 3, 9, 120, 4, 33, 2, 8]
    return [
        Scored(rng.integers(1, 2000, length), max(length // 5, 1), place % 2, 3 * length, place)
        for place, length in enumerate(lengths)
    ]


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """A Trainer that writes nothing."""

    def made(**options: Any) -> Trainer:
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        also = {"enable_model_summary": False, "num_sanity_val_steps": 0, "accelerator": "cpu"}
        return Trainer(default_root_dir=tmp_path, **{**quiet, **also, "max_epochs": 1, **options})

    return made


@pytest.fixture
def fit(tiny_gpt2: Path, trainer: Callable[..., Trainer]) -> Fit:
    """Fits the tiny model on these batches; other keywords are the module's, or the Trainer's."""

    def fitted(
        batches: Sequence[Sequence[Sequence[Scored]]],
        val: Sequence[Sequence[Sequence[Scored]]] = (),
        kind: type[CareerModule] = CareerModule,
        module: dict[str, Any] | None = None,
        **options: Any,
    ) -> CareerModule:
        torch.manual_seed(0)
        model = kind(pretrained=str(tiny_gpt2), **{"dropout": 0.0, **(module or {})})
        data = Given([collate(rows) for rows in batches], [collate(rows) for rows in val])
        if not val:
            options["limit_val_batches"] = 0
        trainer(**options).fit(model, datamodule=data)
        return model

    return fitted


@pytest.fixture
def plain() -> type[CareerModule]:
    return Plain
