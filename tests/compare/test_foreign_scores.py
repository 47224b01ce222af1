"""Laws of scores that other tools wrote: who is paired with whom, and what is found."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from careergpt.cli import main
from careergpt.compare.foreign_scores import is_scores, models_of, pair, read_scores
from careergpt.compare.scores import COLUMNS
from careergpt.errors import InputError


def harness(folder: Path, name: str, right: Sequence[float], **more: Any) -> Path:
    """A file as lm-evaluation-harness writes it under --log_samples, in another order."""
    rows = [
        {
            "doc_id": n, "doc": {"question": f"{n}?"}, "target": "A", "arguments": [["q", " A"]],
            "resps": [[[-1.5, False]]], "filtered_resps": [[-1.5, False]], "filter": "none",
            "metrics": ["acc"], "doc_hash": "0", "acc": value, **more,
        }
        for n, value in enumerate(right)
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows[::-1]))
    return path


def inspect(path: Path, grades: Sequence[tuple[int, int, Any]]) -> Path:
    """A log as Inspect writes it in JSON: id, epoch, the grade of one scorer."""
    samples = [
        {"id": id_, "epoch": epoch, "input": "q", "target": "A", "scores": {"match": {"value": g}}}
        for id_, epoch, g in grades
    ]
    path.write_text(json.dumps({"version": 2, "eval": {"task": "arith"}, "samples": samples}))
    return path


def values(path: Path) -> dict[tuple[str, str, str], float]:
    [samples] = read_scores(str(path)).values()
    return {(one.task, one.metric, one.id): one.value for one in samples}


def test_a_sample_of_the_harness_has_its_metrics_by_filter(tmp_path: Path) -> None:
    plain = harness(tmp_path, "samples_arc_easy_2024-06-11T12-34-56.123456.jsonl", [1.0, 0.0])
    assert values(plain) == {("arc_easy", "acc", "0"): 1.0, ("arc_easy", "acc", "1"): 0.0}
    more = {"filter": "strict-match", "metrics": ["exact_match", "pair"], "pair": [1, 2]}
    strict = harness(tmp_path, "samples_gsm8k.jsonl", [0.0], exact_match=1.0, **more)
    assert values(strict) == {("gsm8k", "strict-match/exact_match", "0"): 1.0}


def test_a_folder_stands_for_the_newest_file_of_each_task(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    harness(folder, "samples_arc_2024-06-11T12-34-56.1.jsonl", [0.0])
    harness(folder, "samples_arc_2025-06-11T12-34-56.1.jsonl", [1.0])
    harness(folder, "samples_copa_2024-06-11T12-34-56.1.jsonl", [1.0])
    assert values(folder) == {("arc", "acc", "0"): 1.0, ("copa", "acc", "0"): 1.0}
    assert is_scores(str(folder))
    assert not is_scores(str(tmp_path))
    assert not is_scores("gpt2")


def test_grades_of_inspect_count_as_it_counts_them_and_epochs_are_averaged(tmp_path: Path) -> None:
    grades = [(1, 1, "C"), (1, 2, "I"), (2, 1, "P"), (3, 1, True), (4, 1, {"a": 0.25})]
    log = inspect(tmp_path / "log.json", grades)
    assert values(log) == {
        ("arith", "match", "1"): 0.5, ("arith", "match", "2"): 0.5, ("arith", "match", "3"): 1.0,
        ("arith", "match/a", "4"): 0.25,
    }  # fmt: skip


def test_samples_without_a_partner_are_counted_and_left_out(tmp_path: Path) -> None:
    one, other = (
        harness(tmp_path / name, "samples_arc.jsonl", [1.0] * n) for name, n in (("a", 5), ("b", 3))
    )
    [measured], paired, alone = pair(models_of(str(one), {"b": str(other)}), [])
    assert (len(measured.weights), paired, alone) == (3, 3, 2)
    assert (measured.metric.better, len({*measured.titles})) == ("higher", 3)


def compared(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    return found


def test_files_of_scores_are_compared_without_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = harness(tmp_path / "a", "samples_arc.jsonl", [float(n % 2) for n in range(40)])
    other = harness(
        tmp_path / "b", "samples_arc.jsonl", [float(n % 2 or n < 30) for n in range(39)]
    )
    files = ["--finetuned", str(other), f"--baseline={one}", f"--out={tmp_path / 'out'}"]
    main(["compare", *files, "--gate=acc>=0.1"])
    told = capsys.readouterr().out
    [found] = compared(tmp_path / "out")["findings"]
    assert (found["metric"], found["n"], found["verdict"]) == ("acc", 39, "better")
    assert found["difference"] == pytest.approx(15 / 39)
    # 15 signs alike of 15: exact, it is 2 / 2**15, below what 9,999 flips can show.
    assert found["p"] < 6e-4
    assert "left out: 1." in told
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "comparison.json",
        "report.html",
    }
    with pytest.raises(SystemExit, match="1"):
        main(["compare", *files, "--gate=acc<=0"])
    main(["compare", *files, "--lower_is_better=acc"])
    assert compared(tmp_path / "out")["findings"][0]["verdict"] == "worse"


def test_our_own_scores_give_the_loss_anew(tmp_path: Path) -> None:
    rows = [
        {
            **dict.fromkeys(COLUMNS.names), "record": str(n), "task": "describe",
            "title": f"Title {n // 2}", "asked_title": f"Title {n // 2}", "model": model,
            "nats": cost * (n + 10) + n % 3, "tokens": n + 10, "n_bytes": 4 * n + 40,
        }
        for n in range(60)
        for model, cost in (("baseline", 3.0), ("a", 2.0), ("b", 2.5))
    ]  # fmt: skip
    table = pa.Table.from_pylist(rows, schema=COLUMNS)
    pq.write_table(table, tmp_path / "scores.parquet")
    file = str(tmp_path / "scores.parquet")
    main(["compare", "--baseline", file, "--finetuned", file, f"--out={tmp_path / 'out'}"])
    found = compared(tmp_path / "out")
    assert [*found["models"]] == ["baseline", "finetuned:a", "finetuned:b"]
    assert {f["metric"]: f["titles"] for f in found["findings"]} == {"loss": 30}
    assert [f["difference"] for f in found["findings"]] == pytest.approx([-1.0, -0.5])
    assert [r["rank"] for r in found["ranks"]["loss"].values()] == [3, 1, 2]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"id": 1}', "no doc_id"),
        ("a.jsonl", "{", "not JSON"),
        ("a.json", "{}", "no samples"),
        ("a.json", '{"samples": []}', "no sample with a score"),
        ("a.json", '{"samples": [1]}', "no log of samples"),
        ("a.parquet", "PAR", "a.parquet"),
        ("none.jsonl", None, "no such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, name: str, content: str | None, said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if content is not None:
        (tmp_path / name).write_text(content)
    good = harness(tmp_path / "good", "samples_arc.jsonl", [1.0])
    out = tmp_path / "out"
    with pytest.raises(SystemExit, match="2"):
        main(["compare", f"--baseline={good}", f"--finetuned={tmp_path / name}", f"--out={out}"])
    assert said in capsys.readouterr().err
    assert not out.exists()


def test_files_with_nothing_in_common_are_refused(tmp_path: Path) -> None:
    one = harness(tmp_path / "a", "samples_arc.jsonl", [1.0])
    other = harness(tmp_path / "b", "samples_copa.jsonl", [1.0])
    with pytest.raises(InputError, match="in common"):
        pair(models_of(str(one), {"b": str(other)}), [])
