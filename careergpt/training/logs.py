"""Loggers: metrics.jsonl, which is the truth, and W&B, which never asks and never stops a run."""

from __future__ import annotations

import json
import math
import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only


class MetricsLog(Logger):
    """Appends each set of metrics to `metrics.jsonl` as one line, on disk before it returns."""

    def __init__(self, folder: str) -> None:
        """Writes nothing yet.

        Args:
            folder: The run's folder.
        """
        super().__init__()
        self._path = Path(folder) / "metrics.jsonl"

    @property
    def name(self) -> str:
        """The run's name."""
        return self._path.parent.name

    @property
    def version(self) -> str:
        """A run is a folder: it has no other version."""
        return ""

    @property
    def save_dir(self) -> str:
        """The run's folder."""
        return str(self._path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Appends one line; numbers that JSON has no word for become null."""
        finite = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """The configuration is in config.yaml."""


class Wandb(WandbLogger):
    """W&B's logger: online where the user has logged in, else offline in the run folder."""

    def __init__(self, save_dir: str, project: str = "careergpt", name: str | None = None) -> None:
        """Starts nothing; the first metric does.

        Args:
            save_dir: The run's folder; W&B writes into its `wandb/`.
            project: The project, unless WANDB_PROJECT names it.
            name: The run's name, unless WANDB_NAME does.
        """
        super().__init__(
            name=os.environ.get("WANDB_NAME", name),
            project=os.environ.get("WANDB_PROJECT", project),
            save_dir=save_dir,
            offline=not logged_in(),
            settings=_settings(),
        )
        # Lightning passes an option on that W&B no longer knows, and W&B warns of it.
        self._wandb_init.pop("anonymous", None)


def logged_in() -> bool:
    """Whether W&B has a key (WANDB_API_KEY or `wandb login`) and is not told to stay offline."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _settings() -> Any:
    import wandb

    # A dead server is given up on early; console capture would swallow the progress bar.
    return wandb.Settings(init_timeout=10, console="off", silent=True, disable_git=True)
