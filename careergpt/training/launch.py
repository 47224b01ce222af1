"""The launch of a run's processes: what would train wrongly, or wait for ever, is refused."""

from __future__ import annotations

import os
from typing import Any

import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    SingleDeviceStrategy,
    StrategyRegistry,
)

from careergpt.errors import InputError


def check_strategy(strategy: Any) -> None:
    """Refuses what would deal with a step's gradients by itself: the module scales and clips them.

    Raises:
        InputError: It shards the model, or forks processes, which cannot share what is set up here.
    """
    kind, start = type(strategy), getattr(strategy, "_start_method", "popen")
    if isinstance(strategy, str):
        if strategy not in StrategyRegistry:
            return  # "auto", or one that Lightning refuses.
        known = StrategyRegistry[strategy]
        kind, start = known["strategy"], known["init_params"].get("start_method", "popen")
    whole = issubclass(kind, DDPStrategy | SingleDeviceStrategy)
    if not whole or issubclass(kind, DeepSpeedStrategy) or start != "popen":
        named = strategy if isinstance(strategy, str) else kind.__name__
        raise InputError(
            f"trainer.strategy={named}: models are trained whole, on one device or by ddp, a "
            "process for each: --trainer.strategy ddp"
        )
    backends = getattr(strategy, "process_group_backend", None) or ""
    for backend in filter(None, backends.split(",")):  # As in "cpu:gloo,cuda:nccl".
        if not torch.distributed.is_backend_available(backend.rpartition(":")[2]):
            raise InputError(
                f"trainer.strategy: its process_group_backend {backend!r} is not in this torch: "
                "leave it out"
            )


def check_started(trainer: Any) -> None:
    """Refuses processes that are started otherwise than the Trainer expects.

    Lightning would have them wait for others for ever, or each train alone in the same folder.

    Raises:
        InputError: They are more or fewer, or cannot find each other; a job of SLURM has tasks
            that no srun has started; or torchrun has started them again with the store of those
            before.
    """
    environment = trainer._accelerator_connector.cluster_environment
    if not environment.creates_processes_externally:
        if trainer.num_nodes > 1 and "MASTER_PORT" not in os.environ:
            raise InputError(
                f"trainer.num_nodes={trainer.num_nodes}: no node is told where to meet the others: "
                "start this on each by torchrun or srun, as configs/cluster shows"
            )
        return
    again = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
    if again and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        raise InputError(
            "torchrun has started this process again, and shows it the addresses of lost ones: set "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 for torchrun, or give its command anew"
        )
    started, devices, nodes = environment.world_size(), trainer.num_devices, trainer.num_nodes
    by_srun = not isinstance(environment, SLURMEnvironment) or "SLURM_STEP_ID" in os.environ
    if started > 1 and not by_srun:
        raise InputError(
            f"SLURM has given this job {started} tasks, of which srun has started none: put srun "
            "before python main.py, or ask for one task (#SBATCH --ntasks=1)"
        )
    if started != devices * nodes:
        raise InputError(
            f"this run has {started} processes, started from outside, and the Trainer expects "
            f"{devices * nodes}: give the devices of each node as --trainer.devices (now "
            f"{devices}) and the nodes as --trainer.num_nodes (now {nodes}), a process a device"
        )
