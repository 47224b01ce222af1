"""Sample answers: what is logged beside the losses."""

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from lightning import Callback, Trainer

from careergpt.data.batches import Scored
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.prompts import Prompt
from careergpt.data.splits import VAL
from careergpt.data.tasks import Task
from careergpt.errors import InputError
from careergpt.generation.decoding import Generated, distinct, repetition
from careergpt.training.logs import MetricsLog
from careergpt.training.module import CareerModule
from careergpt.training.samples import SampleAnswers

Fit = Callable[..., CareerModule]
PROMPTS = ["Which skills does a Nurse need?", "Career path: Welder"]
# No two records have this prompt in common.
ASK = {"ask": Task("A {position_title} at {company_name}?", "{skills}. {job_description}")}
SKILLS = "We need wound care, arc-welding and statistics; arc welding above all."


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def rows_of(examples: list[Scored]) -> list[list[list[Scored]]]:
    """Padded batches of three rows."""
    return [[[e] for e in examples[start : start + 3]] for start in range(0, 12, 3)]


def test_prompts_are_answered_before_and_after_each_epoch(
    fit: Fit, examples: list[Scored], tmp_path: Path
) -> None:
    samples = SampleAnswers(PROMPTS, max_new_tokens=5, records=0)
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
    samples = SampleAnswers(PROMPTS, max_new_tokens=20, records=0)
    batches, log = rows_of(examples), MetricsLog(str(tmp_path))
    fit(batches, val=batches[:1], callbacks=[samples], logger=log)
    logged = [row for row in lines(tmp_path / "metrics.jsonl") if "samples/rep_4" in row]
    texts = [answer.token_ids for answer in samples.last]
    assert logged[-1]["samples/rep_4"] == pytest.approx(sum(map(repetition, texts)) / 2)
    assert logged[-1]["samples/distinct_1"] == pytest.approx(distinct(texts, 1))
    assert logged[-1]["samples/distinct_2"] == pytest.approx(distinct(texts, 2))
    assert not any("samples/skills_f1" in row for row in logged)


def test_no_prompts_no_answers(fit: Fit, examples: list[Scored], tmp_path: Path) -> None:
    samples = SampleAnswers([], records=0)
    fit(rows_of(examples), val=rows_of(examples)[:1], callbacks=[samples])
    assert (samples.first, samples.last) == ([], [])
    assert not (tmp_path / "samples.jsonl").exists()


def test_the_model_trains_on_after_it_answered(fit: Fit, examples: list[Scored]) -> None:
    modes = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
            modes.append(pl_module.model.training)

    fit(
        rows_of(examples), val=rows_of(examples)[:1], val_check_interval=1,
        callbacks=[SampleAnswers(PROMPTS, 2, records=0), Watch()],
    )  # fmt: skip
    assert modes == [True] * 4


@pytest.fixture
def asked(
    tables: Path, tiny_gpt2: Path, tmp_path: Path, trainer: Callable[..., Trainer]
) -> Callable[..., CareerDataModule]:
    """Fits the tiny model on the shared tables, or on `source`, with these samples."""

    def fitted(
        samples: SampleAnswers, source: Path = tables, tasks: dict[str, Task] = ASK, **data: Any
    ) -> CareerDataModule:
        settings = {"val_fraction": 0.3, "min_count": 2, "processes": 1, **data}
        module = CareerDataModule(
            str(source), tokenizer=str(tiny_gpt2), context=128, tasks=tasks,
            cache=str(tmp_path / "cache"), **settings,
        )  # fmt: skip
        for name in ("metrics.jsonl", "samples.jsonl"):
            (tmp_path / name).unlink(missing_ok=True)
        model = CareerModule(pretrained=str(tiny_gpt2))
        log = MetricsLog(str(tmp_path))
        trainer(callbacks=[samples], logger=log, max_epochs=2).fit(model, datamodule=module)
        return module

    return fitted


def say_skills(model: Any, tokenizer: Any, prompts: Sequence[Prompt], *_: Any) -> list[Generated]:
    """To records the skills of three trades, to fixed prompts nothing."""
    return [
        Generated(p.place, p.id, p.text, SKILLS if " at " in p.text else "", "end", -1.0, 2, (1, 2))
        for p in prompts
    ]


def test_skills_f1_is_logged_at_each_validation(
    asked: Callable[..., CareerDataModule], tmp_path: Path
) -> None:
    asked(SampleAnswers(PROMPTS, max_new_tokens=3))
    found = lines(tmp_path / "metrics.jsonl")
    steps = [row["step"] for row in found if "samples/skills_f1" in row]
    validations = [row["step"] + 1 for row in found if "val/loss" in row]
    assert steps == [0, *validations]
    assert all(0 <= row["samples/skills_f1"] <= 1 for row in found if "samples/skills_f1" in row)


def test_skills_f1_is_the_mean_over_the_records_that_were_asked(
    asked: Callable[..., CareerDataModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("careergpt.training.samples.generate", say_skills)
    data = asked(SampleAnswers(PROMPTS))
    wanted = {
        f"A {row['position_title']} at {row['company_name']}?": set(row["skills"])
        for row, home in zip(data.dataset.table.to_pylist(), data.dataset.split, strict=True)
        if home == VAL and row["position_title"]
    }
    prompts = [row["prompt"] for row in lines(tmp_path / "samples.jsonl") if row["step"] == 0]
    assert prompts[:2] == PROMPTS
    assert len(prompts) == len(set(prompts)) == 2 + 8
    said = {"wound care", "arc welding", "statistics"}
    f1 = [
        2 * len(said & wanted[prompt]) / (len(said) + len(wanted[prompt])) for prompt in prompts[2:]
    ]
    assert len(set(f1)) > 1
    logged = [row for row in lines(tmp_path / "metrics.jsonl") if "samples/skills_f1" in row]
    assert logged[0]["samples/skills_f1"] == pytest.approx(statistics.mean(f1))
    # Ten answers of the same two tokens.
    assert logged[0]["samples/distinct_1"] == pytest.approx(2 / 20)


def test_the_answers_to_records_are_on_file_and_not_on_the_screen(
    asked: Callable[..., CareerDataModule], tiny_gpt2: Path, tmp_path: Path
) -> None:
    samples = SampleAnswers(PROMPTS, max_new_tokens=3, records=3)
    asked(samples)
    found = lines(tmp_path / "samples.jsonl")
    assert len(found) == 3 * (2 + 3)
    assert samples.first == [row["text"] for row in found[:2]]
    assert [answer.prompt for answer in samples.last] == PROMPTS
    resumed = SampleAnswers(PROMPTS)
    later = Mock(spec=Trainer, global_step=9, default_root_dir=str(tmp_path))
    resumed.on_train_start(later, CareerModule(pretrained=str(tiny_gpt2)))
    assert resumed.first == samples.first


def test_the_same_records_are_asked_whatever_the_table_s_order(
    asked: Callable[..., CareerDataModule], tables: Path, tmp_path: Path
) -> None:
    header, *rows = (tables / "postings.csv").read_text(encoding="utf-8").splitlines(True)
    other = tmp_path / "other"
    other.mkdir()
    (other / "postings.csv").write_text("".join([header, *reversed(rows)]), encoding="utf-8")
    asked_prompts = []
    for source in (tables, other):
        asked(SampleAnswers([], max_new_tokens=2, records=4), source)
        asked_prompts.append([row["prompt"] for row in lines(tmp_path / "samples.jsonl")])
    assert asked_prompts[0] == asked_prompts[1]
    assert len(asked_prompts[0]) == 3 * 4


@pytest.mark.parametrize(
    ("settings", "tasks"),
    [
        ({"min_count": 100}, ASK),
        ({}, {"position": Task("Who knows {skills}?", "{position_title}")}),
    ],
)
def test_without_known_skills_or_a_task_that_asks_by_title_no_record_is_asked(
    asked: Callable[..., CareerDataModule],
    tmp_path: Path,
    settings: dict[str, Any],
    tasks: dict[str, Task],
) -> None:
    asked(SampleAnswers(PROMPTS, max_new_tokens=2), tasks=tasks, **settings)
    assert {row["prompt"] for row in lines(tmp_path / "samples.jsonl")} == set(PROMPTS)
    assert not any("samples/skills_f1" in row for row in lines(tmp_path / "metrics.jsonl"))


@pytest.mark.parametrize(
    ("weight", "prompts"),
    [
        (1.0, {"Tell of a Data scientist", "Tell of a Registered nurse", "Tell of a Truck driver"}),
        (0.0, {"Ask of a Data scientist", "Ask of a Registered nurse", "Ask of a Truck driver"}),
    ],
)
def test_without_prompts_a_task_that_is_taught_asks_of_three_positions(
    asked: Callable[..., CareerDataModule], tmp_path: Path, weight: float, prompts: set[str]
) -> None:
    tasks = {
        "describe": Task("Tell of a {position_title}", "{job_description}", weight=weight),
        "skills": Task("Ask of a {position_title}", "{skills}"),
    }
    asked(SampleAnswers(max_new_tokens=2, records=0), tasks=tasks)
    assert {row["prompt"] for row in lines(tmp_path / "samples.jsonl")} == prompts


def test_where_the_question_asks_for_more_than_a_position_only_records_are_asked(
    asked: Callable[..., CareerDataModule], tmp_path: Path
) -> None:
    asked(SampleAnswers(max_new_tokens=2, records=1), tasks=ASK)
    assert len({row["prompt"] for row in lines(tmp_path / "samples.jsonl")}) == 1


def test_a_record_that_names_nothing_known_or_leaves_no_room_is_not_asked(
    asked: Callable[..., CareerDataModule], tmp_path: Path
) -> None:
    source = tmp_path / "long.jsonl"
    rows = [
        {
            "position_title": f"Title {n}",
            "skills": [*["SQL"] * (n % 3 > 0), f"knack {n}"],
            "hint": f"{n} so " * (1 + 99 * (n % 2)),
        }
        for n in range(60)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    tasks = {
        "ask": Task("{position_title}, {hint}?", "{skills}"),
        "short": Task("{skills}?", "{position_title}"),
    }
    asked(SampleAnswers([], max_new_tokens=2, records=60), source, tasks)
    prompts = {row["prompt"] for row in lines(tmp_path / "samples.jsonl")}
    numbers = [int(prompt.split(",")[0].removeprefix("Title ")) for prompt in prompts]
    assert numbers
    assert all(n % 2 == 0 and n % 3 for n in numbers)


def test_fewer_records_than_none_are_refused() -> None:
    with pytest.raises(InputError, match=r"samples\.records must be 0 or more, found -1"):
        SampleAnswers(records=-1)
