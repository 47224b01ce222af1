"""What a comparison leaves behind: scores and answers to recompute it from, and its figures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from careergpt.compare.cases import Case
from careergpt.compare.comparison import Comparison, Finding, PairedAnswer
from careergpt.compare.contenders import ROLES
from careergpt.compare.paired import Scores
from careergpt.compare.scoring import ScoredCases
from careergpt.compare.statistics import FloatArray
from careergpt.compare.titles import TITLE
from careergpt.data.tasks import text_of
from careergpt.data.whole_files import whole, write_json, write_lines

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
        "nats_own_title": pa.float64(),
        "tokens": pa.int64(),
        "n_bytes": pa.int64(),
        "n_prompt": pa.int64(),
        "token_ids": pa.list_(pa.int32()),
    }
)


def write_scores(path: Path, scored: ScoredCases) -> None:
    """Writes scores.parquet: a row for each example and model, with the tokens that were scored.

    A record asked by another's title has a row of its own: `asked_title` is not its `title`, and
    `nats_own_title` is what the same tokens cost under its own.
    """
    import pyarrow.parquet as pq

    rows = list(_rows(scored.cases, scored.scores))
    if scored.swaps:
        rows += _rows(scored.swaps.other, scored.swaps.scores, scored.swaps.nats_own)
    with whole(path) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCORES), partial)


def _rows(
    cases: Sequence[Case], scores: Scores, nats_own: FloatArray | None = None
) -> Iterator[dict[str, Any]]:
    for place, case in enumerate(cases):
        for side, role in enumerate(ROLES):
            example = case.example(side)
            yield {
                "record": case.record,
                "task": case.pair.task,
                "title": case.title,
                "asked_title": str(case.fields.get(TITLE, case.title)),
                "prompt": text_of(case.pair.prompt),
                "completion": text_of(case.pair.completion),
                "model": role,
                "nats": scores.nats[place, side],
                "nats_own_title": None if nats_own is None else nats_own[place, side],
                "tokens": int(scores.tokens[place, side]),
                "n_bytes": int(scores.n_bytes[place]),
                "n_prompt": example.n_prompt,
                "token_ids": example.token_ids,
            }


def write_answers(path: Path, answers: Iterable[PairedAnswer]) -> None:
    """Writes answers.jsonl: a line for each prompt and model, with its measures."""
    write_lines(
        path,
        (
            {
                "record": pair.record,
                "title": pair.title,
                "prompt": pair.prompt,
                "model": role,
                "text": answer.text,
                "finish_reason": answer.finish_reason,
                **answer.measures,
            }
            for pair in answers
            for role, answer in zip(ROLES, (pair.baseline, pair.finetuned), strict=True)
        ),
    )


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes comparison.json: all but the texts, which are in scores.parquet and answers.jsonl."""
    content = {
        "plain_words": comparison.plain_words,
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
        "settings": comparison.settings,
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
