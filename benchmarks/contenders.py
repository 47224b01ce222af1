"""Who is measured: ours and its peers, each in its own library's training loop.

All start from the same weights in fp32 (for bf16 under autocast), without dropout, and step
by fused AdamW at a constant rate, without decay, clipping, logs or checkpoints. Each orders the
pool by its own sampler and runs an even sample of the batches that this gives (`plan_steps`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from peers import plain_loop, sft_trainer, trainer
from turns import Gate
from workload import RATE, Workload, plan_steps, row_tokens, tokens_held

OURS = "careergpt"


def peers(device: str) -> dict[str, Callable[[Workload, Gate], None]]:
    """Who ours is measured beside: name -> what its process does."""
    compiled = {"careergpt, compiled": partial(ours, compiled=True)} if device == "cuda" else {}
    return {
        **compiled,
        "careergpt, padded": partial(ours, pack=False),
        "Trainer, longest": trainer,
        "Trainer, grouped": partial(trainer, grouped=True),
        "SFTTrainer, packed": sft_trainer,
        "PyTorch loop": plain_loop,
    }


def ours(workload: Workload, gate: Gate, pack: bool = True, compiled: bool = False) -> None:
    """CareerModule in CareerTrainer, as `main.py fit` builds them."""
    from lightning import Callback, LightningDataModule
    from torch.utils.data import DataLoader

    from careergpt.data.batches import BatchPlan, PlannedBatches
    from careergpt.data.rows import Budget
    from careergpt.training.module import CareerModule
    from careergpt.training.trainer import CareerTrainer

    store = workload.pool()
    size = workload.sequences
    budget = Budget(row_tokens(store.length, size), None) if pack else Budget(None, size)

    class Pool(LightningDataModule):
        tasks = ("describe",)
        seed = 0

        def train_dataloader(self) -> DataLoader:
            members = np.arange(len(store))
            planned = list(BatchPlan(store, members, budget, weights=[1.0], seed=0))
            sizes = [tokens_held(store.length, batch.rows) for batch in planned]
            sampler = [planned[place] for place in plan_steps(sizes, workload.turns)]
            dataset = PlannedBatches(store, 0, shuffle=True)
            return DataLoader(dataset, sampler=sampler, batch_size=None)

    class TakeTurns(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx) -> None:
            gate.step()
            gate.count(batch.input_ids)

    extra = {"compile": True} if compiled else {}
    module = CareerModule(
        workload.model, lr=RATE, weight_decay=0, warmup=0, final_lr=1, dropout=0, **extra
    )
    CareerTrainer(
        accelerator=workload.device,
        devices=1,
        precision="bf16-mixed" if workload.half else "32-true",
        max_epochs=1,
        callbacks=[TakeTurns()],
        use_distributed_sampler=False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    ).fit(module, datamodule=Pool())
