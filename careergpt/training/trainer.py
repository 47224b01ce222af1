"""The Trainer with two results that Lightning leaves to its caller: predictions and test tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.strategies import (
    DDPStrategy,
    SingleDeviceStrategy,
    StrategyRegistry,
)

from careergpt.data.whole_files import check_writable, write_json
from careergpt.errors import InputError
from careergpt.training.evaluation import EvaluateRankings, result_rows
from careergpt.training.kept_answers import KeptAnswers
from careergpt.training.metrics import Quality
from careergpt.training.stops import Signals
from careergpt.training.words import quality_table, rankings_table


class CareerTrainer(Trainer):
    """Lightning's Trainer; `test` can write its table, `predict` writes its answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signal_connector = Signals(self)

    def validate(  # type: ignore[override]
        self,
        model: LightningModule,
        datamodule: LightningDataModule,
        ckpt_path: str | None = None,
    ) -> Any:
        """Score a model on the validation split: loss, perplexity, accuracy, bits a byte, by task.

        Args:
            model: The module.
            datamodule: The data.
            ckpt_path: Weights of a training checkpoint instead of the model's own.
        """
        results = super().validate(model, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False)
        self._print_quality(model, datamodule)
        return results

    def test(  # type: ignore[override]
        self,
        model: LightningModule,
        datamodule: LightningDataModule,
        ckpt_path: str | None = None,
        json: str | None = None,
        queries: int | None = 2000,
    ) -> Any:
        """Score a model on unseen records: loss by task, and its rankings beside count models.

        Args:
            model: The module.
            datamodule: The data.
            ckpt_path: Weights of a training checkpoint instead of the model's own.
            json: Write the table of results to this file.
            queries: What each ranking is asked, at most, drawn by the split's hash; null: all that
                unseen records ask, 0: nothing.
        """
        if json is not None:
            check_writable(Path(json), "--json", is_file=True)
        evaluation = EvaluateRankings(_folder_of(model, ckpt_path), queries)
        self.callbacks.append(evaluation)  # type: ignore[attr-defined]
        results = super().test(model, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False)
        self._print_quality(model, datamodule)
        if self.is_global_zero:
            found = evaluation.metrics, evaluation.candidates
            if evaluation.metrics:
                print("\n" + rankings_table(*found))
            if json is not None:
                rows = result_rows(quality_of(model), *found)
                write_json(Path(json), rows)
        return results

    def predict(  # type: ignore[override]
        self,
        model: LightningModule,
        datamodule: Any,
        ckpt_path: str | None = None,
        out: str = "predictions.jsonl",
    ) -> None:
        """Answer prompts, or the prompts of a table's unseen records, into a JSON Lines file.

        Answers are kept beside the file as they come: after a kill, the same command goes on.

        Args:
            model: The module.
            datamodule: The data.
            ckpt_path: Weights of a training checkpoint instead of the model's own.
            out: The file: a line for each prompt, in the input's order.
        """
        check_writable(Path(out), "--out", is_file=True)
        kept = KeptAnswers(Path(out))
        self.callbacks.append(kept)  # type: ignore[attr-defined]
        super().predict(model, datamodule=datamodule, ckpt_path=ckpt_path, return_predictions=False)
        # Until every rank has kept its last answer.
        self.strategy.barrier()
        if self.is_global_zero:
            print(kept.finish(len(datamodule.prompts)))

    def _print_quality(self, model: LightningModule, datamodule: Any) -> None:
        if self.is_global_zero:
            quality = quality_of(model)
            print(
                f"{datamodule.dataset.n_read:,} rows read, {quality[''].examples:,} examples scored"
            )
            print(quality_table(quality))


def quality_of(model: Any) -> dict[str, Quality]:
    """What the module's last evaluation found, by task; "" for all together."""
    found: dict[str, Quality] = model.last_quality
    return found


def _folder_of(model: Any, ckpt_path: str | None) -> str | None:
    """The model folder whose candidates and calibration belong to the weights that are tested."""
    return None if ckpt_path else getattr(model, "pretrained", None)


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
    if not issubclass(kind, DDPStrategy | SingleDeviceStrategy) or start != "popen":
        named = strategy if isinstance(strategy, str) else kind.__name__
        raise InputError(
            f"trainer.strategy={named}: models are trained whole, on one device or by ddp, a "
            "process for each: --trainer.strategy ddp"
        )
