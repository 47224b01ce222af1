"""Sample answers: what is logged beside the losses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import Callback, Trainer

from careergpt.data.batches import Scored
from careergpt.generation.repetition import distinct, repetition
from careergpt.training.logs import MetricsLog
from careergpt.training.module import CareerModule
from careergpt.training.samples import SampleAnswers

Fit = Callable[..., CareerModule]
PROMPTS = ["Which skills does a Nurse need?", "Career path: Welder"]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_of(examples: list[Scored]) -> list[list[list[Scored]]]:
    """Padded batches of three rows."""
    return [[[e] for e in examples[start : start + 3]] for start in range(0, 12, 3)]


def test_prompts_are_answered_before_and_after_each_epoch(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    samples = SampleAnswers(PROMPTS, max_new_tokens=5)
    batches = rows_of(examples)
    log = MetricsLog(str(tmp_path))
    fit(batches, val=batches[:1], callbacks=[samples], logger=log, max_epochs=2)
    found = lines(tmp_path / "samples.jsonl")
    assert [(row["step"], row["prompt"]) for row in found] == [
        (step, prompt) for step in (0, 4, 8) for prompt in PROMPTS
    ]
    assert samples.first == [row["text"] for row in found[:2]]
    assert [answer.text for answer in samples.last] == [row["text"] for row in found[-2:]]
    assert all(answer.n_tokens <= 5 for answer in samples.last)


def test_repetition_and_diversity_are_those_of_the_answers(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    samples = SampleAnswers(PROMPTS, max_new_tokens=20)
    batches, log = rows_of(examples), MetricsLog(str(tmp_path))
    fit(batches, val=batches[:1], callbacks=[samples], logger=log)
    logged = [row for row in lines(tmp_path / "metrics.jsonl") if "samples/rep_4" in row]
    texts = [answer.token_ids for answer in samples.last]
    assert logged[-1]["samples/rep_4"] == pytest.approx(sum(map(repetition, texts)) / 2)
    assert logged[-1]["samples/distinct_2"] == pytest.approx(distinct(texts, 2))


def test_no_prompts_no_answers(fit: Fit, examples: list[Scored], tmp_path: Path) -> None:
    samples = SampleAnswers([])
    fit(rows_of(examples), val=rows_of(examples)[:1], callbacks=[samples])
    assert samples.first == samples.last == []
    assert not (tmp_path / "samples.jsonl").exists()


def test_the_model_trains_on_after_it_answered(fit: Fit, examples: list[Scored]) -> None:
    modes = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            modes.append(pl_module.model.training)

    fit(
        rows_of(examples), val=rows_of(examples)[:1], val_check_interval=1,
        callbacks=[SampleAnswers(PROMPTS, 2), Watch()],
    )  # fmt: skip
    assert modes == [True] * 4
