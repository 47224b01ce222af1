"""The table that `test --json` writes: a row for each task and each that answered it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from careergpt.recommend.evaluation import Row
from careergpt.recommend.metrics import RankingMetrics
from careergpt.training.metrics import Quality


def result_rows(
    quality: Mapping[str, Quality], rankings: Mapping[Row, RankingMetrics]
) -> list[dict[str, Any]]:
    """The rows, tasks in their order; "all" is every example together.

    `loss` and `perplexity` are of an answer among the candidates where answers are ranked (nats a
    title or skill), and nats a completion token elsewhere; a ranked task has the latter as
    `token_loss` and `token_perplexity` in its row "model".
    """
    ranked = {row.task for row in rankings}
    rows = [_by_tokens(task or "all", q) for task, q in quality.items() if task not in ranked]
    return [*rows, *_by_answers(quality, rankings)]


def _by_tokens(task: str, quality: Quality) -> dict[str, Any]:
    numbers = quality._asdict()
    return {"task": task, "row": "model", "n": numbers.pop("examples"), **numbers}


def _by_answers(
    quality: Mapping[str, Quality], rankings: Mapping[Row, RankingMetrics]
) -> Iterator[dict[str, Any]]:
    for (task, ranker), found in rankings.items():
        row = {"task": task, "row": ranker, "n": found.n, **answer_figures(found)}
        if ranker == "model" and task in quality:
            of_tokens = _by_tokens(task, quality[task])
            row["examples"] = of_tokens["n"]
            row |= {f"token_{name}": of_tokens[name] for name in ("loss", "perplexity")}
            row |= {name: of_tokens[name] for name in ("accuracy", "bits_per_byte", "tokens")}
        yield row


def answer_figures(found: RankingMetrics) -> dict[str, Any]:
    """A ranking's figures by the names that tables give them."""
    return {
        "mrr": found.mrr,
        "recall@1": found.recall_at_1,
        "recall@5": found.recall_at_5,
        "recall@10": found.recall_at_10,
        "map": found.mean_average_precision,
        "loss": found.nats,
        "perplexity": found.perplexity,
        "calibration_error": found.calibration_error,
        "left_out": found.left_out,
        "outside": found.outside,
    }
