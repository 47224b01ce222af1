"""The Trainer, with what Lightning leaves to its caller: tables of a test, a file of answers."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from lightning import Callback, LightningDataModule, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from careergpt.compare.report import add_to_card, plain
from careergpt.data.foreign_files import reading
from careergpt.data.prompts import Prompt
from careergpt.data.whole_files import adding, check_writable, write_json, write_lines, writing
from careergpt.modeling.lora import weights_digest
from careergpt.training.evaluation import EvaluateRankings, result_rows
from careergpt.training.launch import check_started
from careergpt.training.metrics import Quality, quality_table
from careergpt.training.stops import Signals


class CareerTrainer(Trainer):
    """Lightning's Trainer; `test` can write its table, `predict` writes its answers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signal_connector = Signals(self)
        check_started(self)

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
        datamodule: Any,
        ckpt_path: str | None = None,
        json: str | None = None,
        queries: int | None = 2000,
        fairness: int = 0,
        card: bool = False,
    ) -> Any:
        """Score a model on unseen records: loss by task, and its rankings beside count models.

        Args:
            model: The module.
            datamodule: The data.
            ckpt_path: Weights of a training checkpoint instead of the model's own.
            json: Write the table of results to this file.
            queries: What each ranking is asked, at most, drawn by the split's hash; null: all that
                unseen records ask, 0: nothing.
            fairness: People of the unseen records with whom each ranking of titles is audited: how
                far names, pronouns and ages move an answer, beside harmless words. Into
                fairness.json of the model folder.
            card: Tell of rankings and fairness in the model's card, in place of an earlier test.
        """
        if json is not None:
            check_writable(Path(json), "--json", is_file=True)
        # Candidates and calibration belong to the folder's weights, not to a checkpoint's.
        folder = None if ckpt_path else getattr(model, "pretrained", None)
        evaluation = EvaluateRankings(folder, queries, fairness)
        self.callbacks.append(evaluation)  # type: ignore[attr-defined]
        results = super().test(model, datamodule=datamodule, ckpt_path=ckpt_path, verbose=False)
        self._print_quality(model, datamodule)
        if self.is_global_zero:
            if told := evaluation.told():
                print("\n" + told)
            if card and folder and told:
                source = datamodule.source
                named = source if isinstance(source, str) else ", ".join(source)
                text = f"## Tested on {plain(named)}\n\n```\n{told}\n```"
                done = add_to_card(Path(folder), text, "test")
                print(f"its card {'tells' if done else 'could not be made to tell'} of it")
            if json is not None:
                found = evaluation.metrics, evaluation.candidates
                write_json(Path(json), result_rows(_quality_of(model), *found))
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
            quality = _quality_of(model)
            print(
                f"{datamodule.dataset.n_read:,} rows read, {quality[''].examples:,} examples scored"
            )
            print(quality_table(quality))


def _quality_of(model: Any) -> Mapping[str, Quality]:
    """What the module's last evaluation found, by task; "" for all together."""
    found: Mapping[str, Quality] = model.last_quality
    return found


class KeptAnswers(Callback):
    """Each batch's answers, appended by each rank to a file of its own beside the output.

    A line holds a batch and names the work that it is of. So a batch that a kill cut off is
    answered anew as a whole, among the same neighbours, and answers of other work are never taken
    for ours.
    """

    def __init__(self, out: Path) -> None:
        """Answers on their way to this file."""
        self._out = out
        self._work = ""

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Lets the data module learn, once the weights are loaded, which prompts are answered."""
        trainer.datamodule.find_answered = partial(self._find, trainer, pl_module)  # type: ignore[attr-defined]

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the batch: the output's lines, and the prompts' places."""
        rows = [answer._asdict() for answer in outputs]
        for row in rows:
            del row["token_ids"]
        self._append(trainer.global_rank, json.dumps({"work": self._work, "answers": rows}))

    def finish(self, prompts: int) -> str:
        """Writes the output, in the input's order, and tells how many of the prompts are in it."""
        own = (kept["answers"] for _, kept in self._kept() if kept["work"] == self._work)
        # By place: two runs at once, or one that outlived its kill, may have answered twice.
        answers = {row.pop("place"): row for rows in own for row in rows}
        with writing(self._out):
            write_lines(self._out, (answers[place] for place in sorted(answers)))
            if len(answers) < prompts:
                return (
                    f"{len(answers)} of {prompts} prompts are answered in {self._out}: the same "
                    "command answers the others"
                )
            for path in self._files():
                path.unlink(missing_ok=True)
        return f"{len(answers)} answers are in {self._out}"

    def _find(
        self, trainer: Trainer, pl_module: Any, batches: Sequence[Sequence[Prompt]]
    ) -> set[int]:
        """Places of the prompts that earlier runs of the same work have answered, on any rank."""
        where = f"{trainer.precision} {pl_module.device.type}"
        self._work = _work_digest(pl_module, where, batches)
        # An empty line: it ends one that a kill cut off, and shows whether the file can be written.
        self._append(trainer.global_rank, "")
        answered: set[int] = set()
        others = set()
        for path, kept in self._kept():
            if kept["work"] == self._work:
                answered |= {row["place"] for row in kept["answers"]}
            else:
                others.add(path.name)
        if answered:
            rank_zero_only(print)(f"{len(answered)} prompts were answered before: not asked anew")
        if others:
            rank_zero_only(print)(
                f"not used: {', '.join(sorted(others))} (another model, other prompts or decoding)"
            )
        return answered

    def _kept(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The lines of all ranks' files, however many ranks there were."""
        for path in self._files():
            with reading(str(path)), path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    with suppress(ValueError):  # Empty, or cut off.
                        yield path, json.loads(line)

    def _append(self, rank: int, line: str) -> None:
        with adding(self._out.with_name(f"{self._out.name}.rank{rank}.partial")) as file:
            file.write(line + "\n")

    def _files(self) -> list[Path]:
        return sorted(self._out.parent.glob(f"{glob.escape(self._out.name)}.rank*.partial"))


def _work_digest(module: Any, where: str, batches: Sequence[Sequence[Prompt]]) -> str:
    """A digest of all that decides the answers, their last digits too.

    That is the weights as they are in memory, wherever they came from; precision and kind of device
    (`where`); and the prompts, side by side as they are answered.
    """
    settings = (where, module.decoding, module.context, module.model.config.to_json_string())
    digest = hashlib.sha256(repr(settings).encode())
    for batch in batches:
        digest.update(repr(batch).encode())
    digest.update(weights_digest(module.model).encode())
    return digest.hexdigest()
