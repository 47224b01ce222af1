"""Scores by sample, read from files of other tools and of earlier comparisons.

| file | a sample is | its metrics |
|---|---|---|
| samples_TASK_DATE.jsonl of lm-evaluation-harness | `doc_id` | `metrics`; FILTER/METRIC |
| a log of Inspect (.json) | `id`, epochs averaged | its scorers; SCORER/NAME of several values |
| scores.parquet of `compare` | `record`, asked by a title | loss, bits a byte, worth of the title |

The harness writes them with `--log_samples`, and a folder of them stands for the newest of each
task. Of each metric and task the samples that every model has are compared; the others are counted.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from careergpt.compare.comparison import BASELINE, Metric
from careergpt.compare.findings import Measured
from careergpt.compare.metrics import BITS, LOSS, TITLE_GAIN, TITLE_GAIN_BITS
from careergpt.compare.scores import COLUMNS, TABLE, rows_of
from careergpt.data.foreign_files import read_json, reading
from careergpt.data.names import title_key
from careergpt.data.text_files import read_objects
from careergpt.errors import InputError

SUFFIXES = (".jsonl", ".json", ".parquet")

_HARNESS = re.compile(r"samples_(?P<task>.+?)(_\d{4}-\d\d-\d\dT[\d.:-]+)?\.jsonl")

# What Inspect's grades count, as its own metrics count them.
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}


class Sample(NamedTuple):
    """One metric of one sample: its value, what that is divided by, and what is drawn with it."""

    task: str
    metric: str
    id: str
    value: float
    weight: float = 1.0
    cluster: str = ""


def is_scores(path: str) -> bool:
    """Whether scores lie there, and no model."""
    place = Path(path)
    return bool(_harness_files(place)) if place.is_dir() else place.suffix in SUFFIXES


def read_scores(path: str) -> dict[str, list[Sample]]:
    """Model -> its samples; "" where the file is of one model and does not say which.

    Raises:
        InputError: It cannot be read, or holds no score.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: there is no such file of scores")
    try:
        if path.endswith(".parquet"):
            found = _read_own(path)
        elif path.endswith(".json"):
            found = {"": [*_read_inspect(path)]}
        else:
            files = _harness_files(Path(path)) or {"": Path(path)}
            found = {"": [one for task, file in files.items() for one in _read_harness(file, task)]}
    except (AttributeError, KeyError, TypeError, pa.ArrowInvalid):
        raise InputError(f"{path} is no log of samples as the tool writes it") from None
    if not all(found.values()):
        raise InputError(f"{path} holds no sample with a score that is a number")
    return found


def _harness_files(path: Path) -> dict[str, Path]:
    """Task -> the newest of its files in the folder, or the file itself."""
    files = sorted(path.glob("samples_*.jsonl")) if path.is_dir() else [path]
    named = ((_HARNESS.fullmatch(file.name), file) for file in files)
    return {match["task"]: file for match, file in named if match}


def _read_harness(path: Path, task: str) -> Iterator[Sample]:
    for number, row in read_objects(str(path)):
        if "doc_id" not in row:
            raise InputError(f"{path}:{number}: no doc_id: run lm_eval with --log_samples")
        chosen = row.get("filter", "none")
        before = "" if chosen == "none" else f"{chosen}/"
        for name in row.get("metrics") or [name for name in row if name != "doc_id"]:
            if (value := _number(row.get(name))) is not None:
                yield Sample(task, f"{before}{name}", str(row["doc_id"]), value)


def _read_inspect(path: str) -> Iterator[Sample]:
    log = read_json(Path(path))
    if "samples" not in log:
        raise InputError(f"{path}: no samples: give a log of Inspect, by `inspect log dump LOG`")
    epochs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for sample in log["samples"]:
        for scorer, score in (sample.get("scores") or {}).items():
            values = score["value"] if isinstance(score["value"], dict) else {"": score["value"]}
            for name, graded in values.items():
                if (value := _number(graded)) is not None:
                    metric = f"{scorer}/{name}" if name else scorer
                    epochs[metric, str(sample["id"])].append(value)
    for (metric, id_), some in epochs.items():
        yield Sample(log["eval"]["task"], metric, id_, fmean(some))


def _number(value: object) -> float | None:
    """The value as a number, a grade as what it counts; None where it is neither."""
    counted = _GRADES.get(value) if isinstance(value, str) else value
    return float(counted) if isinstance(counted, int | float) and math.isfinite(counted) else None


def _read_own(path: str) -> dict[str, list[Sample]]:
    import pyarrow.parquet as pq

    with reading(path):
        table = pq.read_table(path)
    if missing := {*COLUMNS.names} - {*table.column_names}:
        raise InputError(f"{path} has no column {min(missing)!r}: give a scores.parquet of compare")
    titles, records = table["title"].to_pylist(), table["record"].to_pylist()
    clusters = [title_key(title) or record for title, record in zip(titles, records, strict=True)]
    table = table.append_column(TABLE.field("cluster"), pa.array(clusters, pa.string()))
    found: dict[str, list[Sample]] = {}
    for model in dict.fromkeys(table["model"].to_pylist()):
        found[model] = []
        for metric in (LOSS, BITS, TITLE_GAIN, TITLE_GAIN_BITS):
            rows = rows_of(table, model, other_titles=metric in (TITLE_GAIN, TITLE_GAIN_BITS))
            asked = zip(rows["record"], rows["asked_title"], strict=True)
            ids = [f"{record} {title}" for record, title in asked]
            columns = (rows["task"], ids, *metric.measure(rows), rows["cluster"])
            for task, id_, value, weight, cluster in zip(*columns, strict=True):
                if weight:
                    found[model].append(Sample(task, metric.name, id_, value, weight, cluster))
    return found


def models_of(baseline: str, finetuned: Mapping[str, str]) -> dict[str, list[Sample]]:
    """Model -> its samples, the baseline's first.

    Of a file of several models the baseline is the one of that name, and all others are fine-tuned.

    Args:
        baseline: Its file.
        finetuned: Name -> file.

    Raises:
        InputError: A file cannot be read, or has no such model.
    """
    held = read_scores(baseline)
    if BASELINE not in held and len(held) > 1:
        raise InputError(f"--baseline {baseline} holds {', '.join(held)}, and no {BASELINE}")
    found = {BASELINE: held.get(BASELINE) or next(iter(held.values()))}
    for name, path in finetuned.items():
        others = {model: some for model, some in read_scores(path).items() if model != BASELINE}
        if not others:
            raise InputError(f"--finetuned {path} holds the baseline alone")
        for model, some in others.items():
            found[name if len(others) == 1 else f"{name}:{model}"] = some
    return found


def pair(
    models: Mapping[str, Sequence[Sample]], lower: Collection[str]
) -> tuple[list[Measured], int, int]:
    """What is measured of every model, over all tasks and by task; samples paired and left alone.

    Args:
        models: Name -> its samples, the baseline's first.
        lower: Metrics of which less is better; ours are known.

    Raises:
        InputError: The models have no sample in common.
    """
    own = {metric.name: metric for metric in (LOSS, BITS, TITLE_GAIN, TITLE_GAIN_BITS)}
    places: dict[str, dict[tuple[str, str], dict[str, Sample]]] = {}
    for model, samples in models.items():
        for one in samples:
            by_model = places.setdefault(one.metric, {}).setdefault((one.task, one.id), {})
            by_model[model] = one
    measured: list[Measured] = []
    for name, of in places.items():
        metric = own.get(name) or Metric(
            name, name, "lower" if name in lower else "higher", "", lambda value: value
        )
        common = [some for some in of.values() if len(some) == len(models)]
        # Nats a token mean nothing where tokens differ.
        if common and all(len({one.weight for one in some.values()}) == 1 for some in common):
            tasks = list(dict.fromkeys(some[BASELINE].task for some in common))
            for task in ["", *(tasks if len(tasks) > 1 else [])]:
                measured.append(_measured(metric, task, common, list(models)))
    shared = {one.metric.name for one in measured}
    if LOSS.name in shared:
        unused = {BITS.name, TITLE_GAIN_BITS.name}
        measured = [one for one in measured if one.metric.name not in unused]
    keys = [{(one.task, one.id) for one in samples} for samples in models.values()]
    paired, alone = len(set.intersection(*keys)), len(set.union(*keys))
    if not measured:
        raise InputError(
            "the files have no sample and metric in common: they need one task, by one name"
        )
    return measured, paired, alone - paired


def _measured(
    metric: Metric, task: str, common: Sequence[Mapping[str, Sample]], models: Sequence[str]
) -> Measured:
    some = [one for one in common if task in ("", one[BASELINE].task)]
    first = [one[BASELINE] for one in some]
    return Measured(
        metric,
        task,
        {model: np.array([one[model].value for one in some]) for model in models},
        np.array([one.weight for one in first]),
        [one.cluster or f"{one.task} {one.id}" for one in first],
    )
