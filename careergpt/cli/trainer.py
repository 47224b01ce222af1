"""The verbs that train and evaluate: LightningCLI, with what must agree linked in one place."""

from __future__ import annotations

import json
import logging
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import Logger, WandbLogger

from careergpt.cli.configuration import ConfigurationParser, data_module, set_data_defaults
from careergpt.cli.faults import explained
from careergpt.cli.parsing import (
    typed_columns,
    typed_options,
    unless_typed,
)
from careergpt.cli.runs import (
    RunLock,
    SaveRun,
    check_new,
    check_unfinished,
    find_checkpoint,
    is_run,
    run_folder,
    run_of,
)
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import TRAIN
from careergpt.data.tokens import train_tokenizer
from careergpt.data.whole_files import check_writable
from careergpt.errors import InputError, RunEndedError
from careergpt.modeling.folder import TAUGHT_DATA, read_settings
from careergpt.training.callbacks import Ending, check_callbacks
from careergpt.training.checkpoints import BestWeights, WholeCheckpoints
from careergpt.training.finish import FinishRun
from careergpt.training.launch import check_strategy
from careergpt.training.logs import MetricsLog, Wandb, join_run
from careergpt.training.module import CareerModule
from careergpt.training.progress import Progress, Throughput
from careergpt.training.resume import KeepState
from careergpt.training.samples import SampleAnswers
from careergpt.training.stops import RankWatch
from careergpt.training.trainer import CareerTrainer

_METHODS = {
    "fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule", "weights_only"},
    "validate": {"model", "datamodule"},
    "test": {"model", "datamodule"},
    "predict": {"model", "datamodule"},
}
"""The Trainer's methods that are verbs, and their arguments that are not options."""

_DEFAULTS = {
    "use_distributed_sampler": False,  # Our plan of batches knows its rank.
    # Lightning's check before training is a whole validation here: the module logs it as the
    # starting model's.
    "num_sanity_val_steps": -1,
    "max_epochs": 3,
}

_REFUSED = {
    "use_distributed_sampler": "=true would deal the batches twice",
    "overfit_batches": ": the batches are planned; bring fewer rows",
    "barebones": "=true: a run logs, validates and keeps its state",
}
"""The Trainer's options that no fit can have."""

_LIMITS = {
    "titles": (200, "Unseen records on which fit measures what the title is worth; 0: none."),
    "rankings": (
        200, "Validation records that choose each ranking's calibration and blend; 0: none.",
    ),
}  # fmt: skip

_TAUGHT = {**dict.fromkeys(TAUGHT_DATA, "data"), "decoding": "model"}
"""What a model folder says of how its model was taught, and the group of options that it is in."""


def run(verb: str, options: Sequence[str]) -> Path:
    """Runs `fit`, `validate`, `test` or `predict`; what breaks from outside is the user's line.

    Returns:
        The Trainer's folder: the run's, where one was fit.
    """
    _silence_advice()
    if any(word.partition("=")[0] == "--data.tokenizer" for word in options):
        raise InputError(
            "--data.tokenizer is for audit: here the tokenizer is the model's own, by "
            "--model.pretrained or --model.scratch.tokenizer"
        )
    lock = RunLock()
    try:
        trainer = CareerCLI([verb, *options], lock).trainer
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            # Left to the interpreter's end, gloo's threads now and then abort a finished rank.
            torch.distributed.destroy_process_group()
    except (InputError, RunEndedError):
        raise
    except Exception as error:
        if (told := explained(error)) is None:
            raise
        raise told from error
    finally:
        lock.free()
    return Path(trainer.default_root_dir)


class CareerCLI(LightningCLI):
    """LightningCLI for one module and one data module."""

    def __init__(self, words: Sequence[str], lock: RunLock) -> None:
        """Parses the words, a verb and its options, and runs it; a fit takes its run's lock."""
        self._words, self._lock = list(words), lock
        self._notes: list[str] = []
        super().__init__(
            CareerModule,
            CareerDataModule,
            save_config_callback=SaveRun,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_class=CareerTrainer,
            trainer_defaults=_DEFAULTS,
            seed_everything_default=0,
            parser_class=ConfigurationParser,
            parser_kwargs={verb: {"verb": verb} for verb in words[:1]},
            args=self._words,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """The verb under way alone, as LightningCLI wants them: a parser takes time to build."""
        return {verb: _METHODS[verb] for verb in self._words[:1]}

    def add_arguments_to_parser(self, parser: Any) -> None:
        """Links what must agree, so that it cannot disagree; adds what is ours."""
        set_data_defaults(parser)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        parser.link_arguments("model.pretrained", "data.models", compute_fn=_listed)
        parser.link_arguments("model.tokenizer_source", "data.tokenizer", apply_on="instantiate")
        parser.link_arguments("model.context", "data.context", apply_on="instantiate")
        parser.add_lightning_class_args(SampleAnswers, "samples")
        parser.add_class_arguments(KeepState, "checkpoints")
        for name, (limit, purpose) in _LIMITS.items():
            parser.add_argument(f"--{name}.limit", type=int, default=limit, help=purpose)

    def _set_seed(self) -> None:
        """Seeds this process; a seed that is drawn, by `true`, is the data's too."""
        config = self.config[self.config.subcommand]
        seed, most = config.seed_everything, (1 << 32) - 1
        if not 0 <= seed <= most:
            raise InputError(f"seed_everything must be 0 to {most}, found {seed}")
        super()._set_seed()
        config.data.seed = int(config.seed_everything)

    def _parse_ckpt_path(self) -> None:
        """Finds the checkpoint: it gives weights and state, and what is typed stands."""
        verb, config = self.config.subcommand, self.config[self.config.subcommand]
        named = config.get("ckpt_path")
        if named:  # A run goes on in its own folder, wherever that lies by now.
            typed = "default_root_dir" in typed_options(self._words).get("trainer", {})
            folder = None if typed else run_of(named, config.get("config"))
            config.trainer.default_root_dir = folder or config.trainer.default_root_dir
        root = config.trainer.default_root_dir
        if verb == "fit":
            self._take_folder(config, new=not named)
        if named:
            found = find_checkpoint(named, Path(root) if root else None, resuming=verb == "fit")
            config.ckpt_path = None if found is None else str(found)
            if verb == "fit":
                trainer = config.trainer
                limits = trainer.max_epochs, trainer.max_steps, self._early_ends()
                check_unfinished(found, Path(trainer.default_root_dir), *limits)
                if found is None:
                    self._notes.append(f"no checkpoint was in {root} to go on from: trained anew")
            elif found is None:
                raise InputError(f"--ckpt_path {named}: there is no checkpoint in {root}")

    def _take_folder(self, config: Any, new: bool) -> None:
        """Names the run's folder and locks it, before anything in it is looked at."""
        name = Path(str(config.config[0])).stem if config.get("config") else "fit"
        folder = run_folder(config.trainer.default_root_dir, name, config.trainer.num_nodes)
        check_writable(folder, "--trainer.default_root_dir")
        self._lock.take(folder)
        config.trainer.default_root_dir = str(folder)
        if new:
            check_new(folder)

    def _early_ends(self) -> str:
        """What may end a run before its limits, as text."""
        trainer = self.config[self.config.subcommand].trainer
        # By value: what was typed and what config.yaml says of it differ in type.
        ends = [trainer.callbacks, trainer.max_time]
        return json.dumps(ends, default=lambda part: getattr(part, "__dict__", str(part)))

    def before_instantiate_classes(self) -> None:
        """Lets the model folder say how it was taught; trains a tokenizer where one is wanted."""
        verb, config = self.config.subcommand, self.config[self.config.subcommand]
        if verb == "fit":
            _check_lengths(config.trainer)
        elif not config.ckpt_path:
            if not config.model.pretrained:
                raise InputError("no model given: name one with --model.pretrained RUN/model")
            config.model.lora = None  # A folder's adapters are merged; new ones change nothing.
        if config.model.pretrained is not None:
            self._take_settings(read_settings(config.model.pretrained))
        config = self.config[verb]
        scratch = config.model.scratch
        if scratch.vocabulary is not None and config.model.pretrained is None:
            scratch.tokenizer = str(Path(config.trainer.default_root_dir or "") / "tokenizer")
            if verb == "fit" and not config.ckpt_path:
                data = data_module(config.data, typed_columns(self._words))
                texts = data.open().texts(TRAIN)
                train_tokenizer(texts, scratch.vocabulary, Path(scratch.tokenizer))
        if self.config.subcommand != "fit" and config.ckpt_path:
            # Whatever the checkpoint's run began with, its model folder says what it trained on.
            trained = Path(config.ckpt_path).parent.parent / "model"
            config.data.models = [*_listed(config.data.models), str(trained)]

    def _take_settings(self, settings: dict[str, Any]) -> None:
        """What the folder says wins over the configuration, but for what was typed.

        A run's own configuration has settled that already, for the model that it names.
        """
        verb = self.config.subcommand
        configured, typed = self.config[verb].as_dict(), typed_options(self._words)
        if is_run(self.config[verb].config) and "pretrained" not in typed.get("model", {}):
            return
        for name, group in _TAUGHT.items():
            if name in settings:
                told = {name: settings[name]}
                taken = unless_typed(told, configured[group], typed.get(group, {}))
                self.config = self.parser.parse_object({verb: {group: taken}}, self.config)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Adds the logs, the checkpoints and the run's end to what is configured."""
        config = self._get(self.config_init, "trainer")
        check_strategy(config.strategy)
        self.datamodule.typed_columns = typed_columns(self._words)
        config.plugins = [*_listed(config.plugins), WholeCheckpoints()]
        configured = _listed(config.callbacks)
        config.callbacks = [RankWatch(), *configured]
        loggers = self._loggers(config)
        if self.subcommand != "fit":
            return super().instantiate_trainer(logger=loggers, enable_checkpointing=False)
        for option, why in _REFUSED.items():
            if config[option]:
                raise InputError(f"trainer.{option}{why}")
        check_callbacks(configured, config.accumulate_grad_batches)
        if self._get(self.config_init, "ckpt_path"):
            config.num_sanity_val_steps = 0  # What goes on is no starting model.
        if config.fast_dev_run:
            self._notes.append("fast_dev_run: all that trains has run, and no model is written")
        return super().instantiate_trainer(
            logger=[MetricsLog(str(config.default_root_dir)), *loggers],
            callbacks=self._callbacks(config, configured),
        )

    def _callbacks(self, config: Any, configured: list[Callback]) -> list[Callback]:
        """A fit's callbacks; their order says two things.

        What judges and keeps the weights comes before what may replace them, or log as a step
        begins. The clock of the throughput comes after the bar: what that waits for is no wait for
        the loader. (Refusals come before whatever is written by their hooks: they are made in
        `setup` and as a checkpoint is read, and nothing is written before `on_fit_start`.)
        """
        folder = str(config.default_root_dir)
        keep: KeepState = self._get(self.config_init, "checkpoints")
        keep.saves = config.enable_checkpointing is not False and not config.fast_dev_run
        keep.early_ends = self._early_ends()
        best = BestWeights(Path(folder) / "checkpoints") if keep.saves else None
        self._ending = Ending(configured)
        self._finish = FinishRun(
            folder,
            shlex.join(["python", "main.py", *self._words]),
            self._get(self.config_init, "titles").limit,
            self._get(self.config_init, "rankings").limit,
            self._get(self.config_init, "samples"),
            best,
        )
        has_bar = any(isinstance(callback, ProgressBar) for callback in configured)
        bar = [] if has_bar or config.enable_progress_bar is False else [Progress()]
        measuring = [*bar, Throughput(), *([best] if best else [])]
        finish = [] if config.fast_dev_run else [self._finish]
        return [self._ending, keep, *config.callbacks, *measuring, *finish]

    def _loggers(self, config: Any) -> list[Logger]:
        """The configured ones; fit logs to W&B where none is named, other verbs where told to."""
        loggers: list[Logger] = _listed(config.logger)
        if config.logger is True or (config.logger is None and self.subcommand == "fit"):
            loggers = [Wandb()]
        folder = Path(config.default_root_dir or "")
        if self.subcommand != "fit" and self.model.pretrained:
            run = Path(self.model.pretrained).parent
            folder = run if (run / "config.yaml").exists() else folder
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                join_run(logger, folder)
        return loggers

    def after_fit(self) -> None:
        """Tells what came out, below the finished progress bar; LightningCLI calls it."""
        if self.trainer.is_global_zero:
            notes = [*self._ending.told, *self._notes]
            print("\n".join([*self._finish.told, *([""] if notes else []), *notes]))


def _check_lengths(trainer: Any) -> None:
    for name in ("max_epochs", "max_steps", "limit_train_batches"):
        if trainer[name] == 0:
            raise InputError(f"trainer.{name} is 0: nothing would be learned")
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        if trainer[name] is not None and trainer[name] < 1:
            raise InputError(f"trainer.{name} must be 1 or more, found {trainer[name]}")
    if trainer.val_check_interval == 0:
        raise InputError("trainer.val_check_interval is 0: to go without, limit_val_batches 0")
    if trainer.gradient_clip_val is not None and not trainer.gradient_clip_val >= 0:
        raise InputError(
            f"trainer.gradient_clip_val must be 0 or more, found {trainer.gradient_clip_val}: "
            "gradients would be turned round"
        )
    if trainer.max_epochs == -1 and trainer.max_steps == -1:
        raise InputError("the learning rate needs an end: set trainer.max_epochs or max_steps")


def _listed(configured: Any) -> list[Any]:
    """None and flags name nothing; one thing is a list of one."""
    if configured in (None, True, False):
        return []
    return list(configured) if isinstance(configured, list) else [configured]


def _silence_advice() -> None:
    """Silences advice that does not fit here; real warnings stay."""
    for message in (
        ".*does not have many workers.*",
        ".*LightningCLI's args parameter.*",
        ".*exists and is not empty.*",
        ".*Tip: For seamless.*",
        ".*isinstance.treespec, LeafSpec.*",
        # It is: KeepState turns the plan of batches to the checkpoint's place.
        ".*dataloader is not resumable.*",
        # It builds the weights for itself, unsharded as they are here.
        ".*WeightAveraging callback with a model that overrides.*",
        # Our metrics are summed over ranks before they are logged.
        ".*sync_dist=True.*",
    ):
        warnings.filterwarnings("ignore", message=message)
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.seed"):
        logging.getLogger(name).setLevel(logging.WARNING)
