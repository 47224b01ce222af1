"""Throughput: useful tokens, padding and waiting, as logged."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from careergpt.data.batches import Scored
from careergpt.training.logs import MetricsLog
from careergpt.training.module import CareerModule
from careergpt.training.progress import Throughput

Fit = Callable[..., CareerModule]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_of(examples: list[Scored]) -> list[list[list[Scored]]]:
    """Padded batches of three rows."""
    return [[[e] for e in examples[start : start + 3]] for start in range(0, 12, 3)]


def test_padding_is_the_share_of_tokens_that_mean_nothing(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    batches = rows_of(examples)
    fit(batches, callbacks=[Throughput()], logger=MetricsLog(str(tmp_path)), log_every_n_steps=2)
    logged = [row for row in lines(tmp_path / "metrics.jsonl") if "train/padding_share" in row]
    lengths = [[len(row[0].token_ids) for row in rows] for rows in batches]
    expected = [
        1 - sum(map(sum, pair)) / sum(max(some) * len(some) for some in pair)
        for pair in (lengths[:2], lengths[2:])
    ]
    assert [row["train/padding_share"] for row in logged] == pytest.approx(expected)
    assert all(row["train/tokens_per_second"] > 0 for row in logged)


def test_accumulated_batches_are_counted_by_the_step(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    fit(
        rows_of(examples), callbacks=[Throughput()], logger=MetricsLog(str(tmp_path)),
        log_every_n_steps=1, accumulate_grad_batches=2,
    )  # fmt: skip
    logged = [row for row in lines(tmp_path / "metrics.jsonl") if "train/padding_share" in row]
    assert len(logged) == 2


def test_a_slow_loader_is_seen_as_waiting(
    fit: Fit, examples: list[Scored], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock moves only where the loader, or the step, says that it took its time.
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    class Slow(CareerModule):
        def on_train_batch_end(self, *_: Any) -> None:
            now[0] += 3.0  # After the callbacks' own: before the next batch comes.

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            now[0] += 1.0
            return super().training_step(batch, batch_idx)

    log = MetricsLog(str(tmp_path))
    fit(rows_of(examples), kind=Slow, callbacks=[Throughput()], logger=log, log_every_n_steps=4)
    (row,) = [row for row in lines(tmp_path / "metrics.jsonl") if "train/waiting_share" in row]
    assert row["train/waiting_share"] == pytest.approx(9 / 13)  # Three waits between four steps.
