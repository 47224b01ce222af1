"""What a comparison leaves behind: scores and answers to recompute it from, and its figures."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from careergpt.compare.cases import Case
from careergpt.compare.comparison import Comparison, Finding, PairedAnswer
from careergpt.compare.contenders import ROLES
from careergpt.compare.paired import Scores
from careergpt.compare.titles import TITLE
from careergpt.data.store import write_json
from careergpt.data.tasks import text_of

_SCORES = pa.schema(
    {
        "record": pa.string(),
        "task": pa.string(),
        "title": pa.string(),
        "asked_title": pa.string(),
        "prompt": pa.string(),
        "completion": pa.string(),
        "model": pa.string(),
        "nats": pa.float64(),
        "tokens": pa.int64(),
        "n_bytes": pa.int64(),
        "n_prompt": pa.int64(),
        "token_ids": pa.list_(pa.int32()),
    }
)


def write_scores(path: Path, scored: Iterable[tuple[Sequence[Case], Scores]]) -> None:
    """Writes scores.parquet: a row for each example and model, with the tokens that were scored.

    A record asked by another's title has a row of its own: `asked_title` is not its `title`.
    """
    import pyarrow.parquet as pq

    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with pq.ParquetWriter(partial, _SCORES) as writer:
        for cases, scores in scored:
            rows = [row for n, case in enumerate(cases) for row in _rows(case, n, scores)]
            writer.write_table(pa.Table.from_pylist(rows, schema=_SCORES))
    os.replace(partial, path)


def _rows(case: Case, place: int, scores: Scores) -> list[dict[str, Any]]:
    shared = {
        "record": case.record,
        "task": case.pair.task,
        "title": case.title,
        "asked_title": str(case.fields.get(TITLE, "")),
        "prompt": text_of(case.pair.prompt),
        "completion": text_of(case.pair.completion),
        "n_bytes": int(scores.n_bytes[place]),
    }
    return [
        {
            **shared,
            "model": role,
            "nats": scores.nats[place, side],
            "tokens": int(scores.tokens[place, side]),
            "n_prompt": case.example(side).n_prompt,
            "token_ids": case.example(side).token_ids,
        }
        for side, role in enumerate(ROLES)
    ]


def write_answers(path: Path, answers: Iterable[PairedAnswer]) -> None:
    """Writes answers.jsonl: a line for each prompt and model, with its measures."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    with partial.open("w", encoding="utf-8") as file:
        for pair in answers:
            for role, answer in zip(ROLES, (pair.baseline, pair.finetuned), strict=True):
                row = {
                    "record": pair.record,
                    "title": pair.title,
                    "prompt": pair.prompt,
                    "model": role,
                    "text": answer.text,
                    "finish_reason": answer.finish_reason,
                    **answer.measures,
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    os.replace(partial, path)


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes comparison.json: all but the texts, which are in scores.parquet and answers.jsonl."""
    content = {
        "verdict": comparison.verdict,
        "baseline": comparison.baseline._asdict(),
        "finetuned": comparison.finetuned._asdict(),
        "data": comparison.data._asdict(),
        "same_tokenizer": comparison.same_tokenizer,
        "findings": [_finding(finding) for finding in comparison.findings],
        "bounds": {name: bounds._asdict() for name, bounds in comparison.bounds.items()},
        "described": {
            name: dict(zip(ROLES, both, strict=True)) for name, both in comparison.described.items()
        },
        "notes": comparison.notes,
        "command": comparison.command,
    }
    write_json(path, content)


def _finding(finding: Finding) -> dict[str, Any]:
    numbers = {**finding._asdict(), "metric": finding.metric.name}
    numbers |= {"difference": finding.difference.estimate}
    numbers |= {"low": finding.difference.low, "high": finding.difference.high}
    # JSON has no word for a number that is none.
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
