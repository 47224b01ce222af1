"""Loggers: metrics.jsonl, which is the truth, and W&B, which never asks and never stops a run."""

from __future__ import annotations

import json
import math
import netrc
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlparse
from urllib.request import Request, urlopen

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from careergpt.data.whole_files import adding, whole

# A dead server is given up on early: all of these together are what it may cost a run.
_ANSWER_SECONDS = 2
_INIT_SECONDS = 4
_FINISH_SECONDS = 4

_JSON = {"Content-Type": "application/json"}

_ID = "wandb_id.txt"


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
        with adding(self._path) as file:
            file.write(json.dumps({"step": step, **finite}) + "\n")

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """The configuration is in config.yaml."""


class Wandb(WandbLogger):
    """W&B's logger: online where the user has logged in, else offline in the run folder.

    A server that is dead or slow costs a run seconds and nothing else: what could not be sent stays
    in the run folder, and a line tells how to send it.
    """

    def __init__(
        self,
        save_dir: str | None = None,
        project: str = "careergpt",
        name: str | None = None,
        offline: bool = False,
        **kwargs: Any,
    ) -> None:
        """Starts nothing; the first metric does.

        Args:
            save_dir: W&B writes into its `wandb/`. Null: the run's folder.
            project: The project, unless WANDB_PROJECT names it.
            name: The run's name, unless WANDB_NAME does. Null: its folder's name.
            offline: Stay offline though the user has logged in.
            kwargs: What else WandbLogger and wandb.init take, as group, tags or notes.
        """
        mode = "offline" if offline or not logged_in() else None
        super().__init__(
            name=os.environ.get("WANDB_NAME", name),
            project=os.environ.get("WANDB_PROJECT", project),
            save_dir=save_dir,  # type: ignore[arg-type]
            **{"mode": mode, "settings": _settings(), **kwargs},
        )
        # Lightning passes an option on that W&B no longer knows, and W&B warns of it.
        self._wandb_init.pop("anonymous", None)
        self._told = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's run; begun offline where its server cannot be used."""
        if self._experiment is not None:
            return self._experiment
        if self._wandb_init["mode"] == "offline":
            return super().experiment
        try:
            _check_server(_server())
            return super().experiment
        except Exception as error:  # W&B's own, requests' …: a run is worth more than its log.
            self._wandb_init["mode"] = "offline"
            run = super().experiment
            self._tell(f"cannot be used ({_first_line(error)}): logging offline", run)
            return run

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:
        """Logs the configuration, nested as it is."""
        with self._harmless():
            super().log_hyperparams(params)

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """Logs numbers and tables."""
        with self._harmless():
            super().log_metrics(metrics, step)

    @rank_zero_only
    def log_table(self, *args: Any, **kwargs: Any) -> None:
        """Logs a table, unless the server is lost: W&B would wait for it."""
        with self._harmless():
            online = not self.experiment.settings._offline
            if online and not self._told:
                _check_server(_server())
            if not (online and self._told):
                super().log_table(*args, **kwargs)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Ends W&B's run, and waits for its server a few seconds at most; Lightning calls it."""
        if self._experiment is not None:
            with self._harmless():
                super().finalize(status)
                self._experiment.finish(exit_code=0 if status == "success" else 1)

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        """Whatever W&B raises ends no run; it is told of once."""
        try:
            yield
        except Exception as error:
            self._tell(f"did not take all that was logged ({_first_line(error)})", self._experiment)

    def _tell(self, what: str, run: Any) -> None:
        if not self._told:
            print(f"W&B at {_server()} {what}. Send it later: wandb sync {run.settings.sync_dir}")
        self._told = True


def join_run(logger: WandbLogger, folder: Path) -> None:
    """Has all commands of a run log into the W&B run whose id is kept in the run's folder."""
    kept = folder / _ID
    if logger._id is None and kept.exists():
        logger._id = logger._wandb_init["id"] = kept.read_text(encoding="utf-8").strip()
    if isinstance(logger, Wandb) and logger._save_dir is None:
        logger._save_dir = logger._wandb_init["dir"] = str(folder)
        logger._wandb_init["name"] = logger._wandb_init["name"] or folder.absolute().name


def keep_id(loggers: Iterable[Logger], folder: Path) -> None:
    """Keeps the id of the W&B run that has begun."""
    for logger in loggers:
        if isinstance(logger, WandbLogger) and logger.version:
            with whole(folder / _ID) as partial:
                partial.write_text(logger.version + "\n", encoding="utf-8")


def log_table(
    loggers: Iterable[Logger], name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Gives a table to every logger that can show one."""
    for logger in loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(name, columns=list(columns), data=[list(row) for row in rows])
        elif isinstance(logger, TensorBoardLogger):
            lines = (columns, ["---"] * len(columns), *rows)
            cells = ([str(cell).replace("|", "\\|") for cell in line] for line in lines)
            text = "\n".join(" | ".join(cell.replace("\n", " ") for cell in line) for line in cells)
            logger.experiment.add_text(name, text)


def _check_server(server: str) -> None:
    """Raises OSError unless the server answers soon, were it to say no.

    W&B itself tries again and again, and its own time limit leaves a process that is slow to end.
    """
    failed: list[Exception] = []

    def request_answer() -> None:
        try:
            request = Request(f"{server}/graphql", b'{"query": "{__typename}"}', _JSON)
            urlopen(request, timeout=2 * _ANSWER_SECONDS).close()
        except HTTPError as error:
            if error.code >= 500:
                failed.append(error)
        except Exception as error:
            failed.append(error)

    # Looking a name up, or an answer that trickles in, knows no time limit but the thread's.
    thread = Thread(target=request_answer, daemon=True)
    thread.start()
    thread.join(_ANSWER_SECONDS)
    if thread.is_alive():
        raise TimeoutError(f"no answer in {_ANSWER_SECONDS} seconds")
    if failed:
        raise failed[0]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _server() -> str:
    return os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").rstrip("/")


def logged_in() -> bool:
    """Whether W&B has a key (WANDB_API_KEY or `wandb login`) and is not told to stay offline."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(_server()).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _settings() -> Any:
    # Its reports on itself, to a server that does not answer, hold up the end of the process.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    return wandb.Settings(
        init_timeout=_INIT_SECONDS,
        finish_timeout=_FINISH_SECONDS,
        finish_timeout_raises=True,
        console="off",  # Its capture would swallow the progress bar.
        silent=True,
        disable_git=True,
    )
