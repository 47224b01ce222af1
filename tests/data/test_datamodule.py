"""Laws of the data module: mistakes end it in one line, and its loaders show what they should."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from careergpt.data import prepare as preparing
from careergpt.data.batches import IGNORED, TokenBatch
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import SPLITS, TEST, TRAIN, VAL
from careergpt.data.tasks import DEFAULT_TASKS, Task
from careergpt.errors import InputError


def ready(data: CareerDataModule, stage: str = "fit") -> CareerDataModule:
    data.prepare_data()
    data.setup(stage)
    return data


def train_batches(data: CareerDataModule, epoch: int = 0) -> list[TokenBatch]:
    loader: Any = data.train_dataloader()
    loader.sampler.set_epoch(epoch)
    return list(loader)


def examples(batches: list[TokenBatch]) -> list[int]:
    return [example for batch in batches for example in batch.examples]


def answers(data: CareerDataModule, task: str, epoch: int) -> dict[int, str]:
    """The completions of a task's training examples as text."""
    found = {}
    for batch in train_batches(data, epoch):
        for number, (row, start, end) in enumerate(batch.segments):
            if batch.tasks[number] == list(data.tasks).index(task):
                labels = batch.labels[row, start:end]
                ids = labels[labels != IGNORED].tolist()
                assert ids.pop() == data.tokenizer.eos_token_id
                found[batch.examples[number]] = str(data.tokenizer.decode(ids))
    return found


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pack": False, "batch_tokens": 100}, "batch_tokens does nothing with data.pack=false"),
        ({"batch_size": 4}, "batch_size does nothing with data.pack=true"),
        ({"batch_size": 0, "pack": False}, "batch_size must be 1 or more, found 0"),
        ({"batch_tokens": 0}, "batch_tokens must be 1 or more, found 0"),
        ({"max_length": 0}, "max_length must be 1 or more, found 0"),
        ({"max_length": 129}, "max_length is 129, but the model reads 128 tokens at most"),
        ({"prompts_per_batch": 0}, "prompts_per_batch must be 1 or more"),
        ({"min_count": 0}, "min_count must be 1 or more"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "sum to less than 1"),
        ({"tasks": {"mine": Task("{a", "{b}")}}, "cannot be read"),
        ({"tasks": {}}, "no task of a weight above 0"),
    ],
)
def test_settings_that_contradict_are_refused_at_once(data_module, settings, message) -> None:
    with pytest.raises(InputError, match=message) as caught:
        data_module(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "stage", "message"),
    [
        ({"source": None}, "fit", "no table given: name one with --data.source"),
        ({"tokenizer": None}, "fit", "no tokenizer given: name one with --data.tokenizer"),
        ({"splits": "all"}, "fit", "splits=all leaves no record to train on"),
        ({"val_fraction": 0.0}, "fit", "none of its 90 records is in the val split"),
        ({"val_fraction": 0.0}, "validate", "none of its 90 records is in the val split"),
        ({"test_fraction": 0.0}, "test", "none of its 90 records is in the test split"),
        ({"val_fraction": 0.999999, "test_fraction": 0.0}, "fit", "is in the train split"),
        ({"columns": {"skills": "abilities"}}, "fit", r"--data\.columns\.skills: no table has"),
        ({"max_length": 2}, "fit", r"train split has \d+ records and no example: their prompts"),
    ],
)
def test_data_that_serves_no_stage_is_refused_in_one_line(
    data_module, settings, stage, message
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        ready(data_module(**settings), stage)
    assert "\n" not in str(caught.value)


def test_a_budget_below_the_longest_example_is_refused_before_a_run_begins(data_module) -> None:
    with pytest.raises(InputError, match=r"batch_tokens is 100, but the longest example has 1\d\d"):
        ready(data_module(batch_tokens=100))


def test_splits_share_no_record_and_lose_none(data_module) -> None:
    data = ready(data_module())
    of_split = [
        set(data.dataset.store.record[data.dataset.members(split)].tolist()) for split in range(3)
    ]
    assert [len(records) for records in of_split] == np.bincount(data.dataset.split).tolist()
    assert set().union(*of_split) == set(range(90))
    assert sum(map(len, of_split)) == 90


@pytest.mark.parametrize("settings", [{}, {"batch_tokens": 500}, {"pack": False, "batch_size": 3}])
def test_each_loader_shows_every_example_of_its_split_once(data_module, settings) -> None:
    data = ready(data_module(**settings))
    for split, batches in [
        (TRAIN, train_batches(data, 4)),
        (VAL, list(data.val_dataloader())),
        (TEST, list(data.test_dataloader())),
    ]:
        assert sorted(examples(batches)) == data.dataset.members(split).tolist()
    sizes = [len(batch.input_ids) for batch in train_batches(data)]
    assert max(sizes) == (3 if settings.get("batch_size") else 1)


def test_the_rows_of_a_split_are_its_records_in_the_table_s_order(data_module) -> None:
    dataset = ready(data_module()).dataset
    ids = np.array(dataset.table["id"].to_pylist())
    for split in (TRAIN, VAL, TEST):
        found = [row["id"] for row in dataset.rows(split)]
        assert found == ids[dataset.split == split].tolist()
        assert 0 < len(found) < len(ids)


def test_all_records_are_unseen_with_splits_all(data_module) -> None:
    data = ready(data_module(splits="all"), "test")
    assert sorted(examples(list(data.test_dataloader()))) == list(range(len(data.dataset.store)))
    assert data.report().splits == {"train": 0, "val": 0, "test": 90}


def test_prompts_too_long_are_left_out_of_every_split(data_module) -> None:
    data = ready(data_module(max_length=20))
    lost = np.flatnonzero(data.dataset.store.length == 0)
    assert len(lost)
    members = np.concatenate([data.dataset.members(split) for split in range(3)])
    assert sorted([*members, *lost]) == list(range(len(data.dataset.store)))


def test_a_task_of_weight_0_is_neither_trained_nor_evaluated(data_module) -> None:
    tasks = {**DEFAULT_TASKS, "path": Task("Career: {titles[0]}", "{titles[1:]}", 0)}
    data = ready(data_module(tasks=tasks))
    for batch in [*train_batches(data), *data.val_dataloader()]:
        assert 3 not in batch.tasks


def test_a_fractional_weight_thins_a_task_in_training_alone(data_module) -> None:
    tasks = {**DEFAULT_TASKS, "skills": Task("Skills of a {position_title}?", "{skills}", 0.5)}
    data = ready(data_module(tasks=tasks))

    def shown(batches: list[TokenBatch]) -> np.ndarray:
        return np.bincount(torch.cat([batch.tasks for batch in batches]), minlength=4)

    seen = shown(train_batches(data))
    assert seen[2] == -(-seen[0] // 2)
    evaluated = shown(list(data.val_dataloader()))
    assert evaluated[2] == evaluated[0]
    both = examples(train_batches(data, 0)) + examples(train_batches(data, 1))
    assert set(both) == set(data.dataset.members(TRAIN).tolist())


def test_skills_change_order_with_the_epoch_and_stay_a_set(data_module) -> None:
    data = ready(data_module())
    first, second = answers(data, "skills", 0), answers(data, "skills", 1)
    assert first == answers(data, "skills", 0)
    assert first.keys() == second.keys()
    for example, answer in first.items():
        held = data.dataset.table["skills"][int(data.dataset.store.record[example])].as_py()
        assert sorted(answer.strip().split(", ")) == sorted(held)
        assert sorted(second[example].strip().split(", ")) == sorted(held)
        assert answer.startswith(" ")
    moved = sum(first[example] != second[example] for example in first)
    assert moved > len(first) / 2


def test_titles_keep_their_order_in_every_epoch(data_module) -> None:
    data = ready(data_module())
    first = answers(data, "path", 0)
    assert first == answers(data, "path", 1)
    for example, answer in first.items():
        titles = data.dataset.table["titles"][int(data.dataset.store.record[example])].as_py()
        assert answer == "".join(f" > {title}" for title in titles[1:])


def test_skills_keep_their_order_in_evaluation_and_where_asked(data_module) -> None:
    data = ready(data_module(shuffled=[]))
    assert answers(data, "skills", 0) == answers(data, "skills", 1)
    shuffled = ready(data_module())
    for one, other in zip(data.val_dataloader(), shuffled.val_dataloader(), strict=True):
        assert torch.equal(one.input_ids, other.input_ids)


def test_known_skills_are_those_that_training_names_often_enough(data_module) -> None:
    data = ready(data_module(min_count=4))
    training = [
        skill
        for row, home in zip(data.dataset.table.to_pylist(), data.dataset.split, strict=True)
        for skill in row["skills"] or ()
        if home == TRAIN
    ]
    known = data.dataset.known_skills()
    assert known == sorted({skill for skill in training if training.count(skill) >= 4})
    assert 0 < len(known) < len(set(training))
    assert ready(data_module(splits="all", min_count=1), "test").dataset.known_skills() == []


def test_a_known_skill_is_spelled_as_most_records_do(data_module, tmp_path) -> None:
    listed = [["SQL", "sql."], ["sql"], ["SQL!"], ["SQL"], ["C"], ["C++"], ["C++"], ["C#"]]
    listed.append(["Excel", "Excel (!)"])  # Twice in one record is once.
    rows = [{"position_title": f"T {n}", "skills": skills} for n, skills in enumerate(listed)]
    source = tmp_path / "skills.jsonl"
    for order in (rows, rows[::-1]):
        source.write_text("".join(json.dumps(row) + "\n" for row in order))
        settings = {"source": str(source), "val_fraction": 0.0, "test_fraction": 0.0}
        data = data_module(**settings, min_count=2)
        data.prepare_data()
        data.setup()
        assert data.dataset.known_skills() == ["C++", "SQL"]


def test_records_are_drawn_from_their_split_one_of_each_group(data_module, tmp_path) -> None:
    words = [f"word{n}" for n in range(400)]
    texts = [" ".join(words[n * 20 : n * 20 + 40]) for n in range(18)]
    rows = [
        {"position_title": f"T {n}", "job_description": f"{text} {end}"}
        for n, text in enumerate(texts)
        for end in ("here", "there")
    ]
    source = tmp_path / "alike.jsonl"
    drawn = []
    for order in (rows, rows[::-1]):
        source.write_text("".join(json.dumps(row) + "\n" for row in order))
        data = ready(data_module(source=str(source), val_fraction=0.5), "validate")
        drawn.append(
            [fields["position_title"] for fields in data.dataset.drawn(VAL, "position_title")]
        )
        in_split = [
            row["position_title"]
            for row in data.dataset.table.filter(data.dataset.split == VAL).to_pylist()
        ]
        assert len(in_split) == 2 * len(drawn[-1])
        assert set(in_split) == set(drawn[-1])
    assert drawn[0] == drawn[1]
    assert drawn[0] != sorted(drawn[0])
    assert list(data.dataset.drawn(VAL, "skills")) == []


def test_the_cache_gives_the_batches_that_were_built(data_module, tmp_path, monkeypatch) -> None:
    fresh = ready(data_module())
    monkeypatch.setattr(preparing, "write_arrow", None)
    cached = ready(data_module())
    for epoch in (0, 1):
        pairs = zip(train_batches(fresh, epoch), train_batches(cached, epoch), strict=True)
        for one, other in pairs:
            assert torch.equal(one.input_ids, other.input_ids)
            assert torch.equal(one.labels, other.labels)
            assert one.segments == other.segments


def test_the_seed_decides_the_order_alone(data_module) -> None:
    one, other = ready(data_module(seed=1)), ready(data_module(seed=2))
    assert examples(train_batches(one)) != examples(train_batches(other))
    assert sorted(examples(train_batches(one))) == sorted(examples(train_batches(other)))
    assert (one.dataset.split == other.dataset.split).all()


def trainer_of(rank: int, ranks: int, told: list[Any] | None = None) -> SimpleNamespace:
    """A trainer; `told` is what the first rank has told the others."""

    def broadcast(own: Any) -> Any:
        if rank == 0:
            told.append(own)
        return told[-1]

    strategy = SimpleNamespace(root_device=torch.device("cpu"), broadcast=broadcast)
    return SimpleNamespace(
        global_rank=rank,
        world_size=ranks,
        accumulate_grad_batches=2,
        strategy=strategy,
        state=SimpleNamespace(fn="fit"),
    )


def test_a_model_is_tested_on_tables_that_its_columns_were_not_named_for(
    data_module, tables
) -> None:
    careers = {"source": str(tables / "careers.jsonl"), "columns": {"skills": "Key Skills"}}
    data = data_module(**careers)
    data.typed_columns = ("skills",)
    with pytest.raises(InputError, match=r"--data\.columns\.skills: no table has"):
        data.prepare_data()
    data = data_module(**careers)
    data.trainer = trainer_of(0, 1)
    data.trainer.state.fn = "test"
    data.prepare_data()
    assert data.open().n_read == data_module(**careers, splits="all").report().kept == 30
    assert data_module(**careers, models=["one", "other"]).report().kept == 30  # compare


def test_ranks_share_every_loader(data_module) -> None:
    shares: list[list[int]] = [[], [], []]
    prompts: list[int] = []
    told: list[Any] = []
    for rank in range(2):
        data = data_module(batch_tokens=300, prompts_per_batch=3)
        data.trainer = trainer_of(rank, 2, told)
        ready(data)
        loaders = train_batches(data), data.val_dataloader(), data.test_dataloader()
        for share, batches in zip(shares, loaders, strict=True):
            share += examples(list(batches))
        assert len(train_batches(data)) % 2 == 0
        data.setup("predict")
        prompts += [prompt.place for batch in data.predict_dataloader() for prompt in batch]
    for split, share in enumerate(shares):
        assert sorted(share) == data.dataset.members(split).tolist(), SPLITS[split]
    assert sorted(prompts) == list(range(len(data.prompts)))


def test_every_rank_reads_what_the_first_prepared_though_its_table_is_another(
    data_module, tables
) -> None:
    told: list[Any] = []
    first, second = data_module(), data_module()
    first.trainer, second.trainer = trainer_of(0, 2, told), trainer_of(1, 2, told)
    ready(first)
    with (tables / "careers.jsonl").open("a") as file:
        file.write('{"titles": ["Cook", "Chef"]}\n')
    second.setup("fit")
    assert second.dataset.trained_on() == first.dataset.trained_on()
    assert second.dataset.store.path == first.dataset.store.path
    first.dataset.store.path.unlink()
    with pytest.raises(InputError, match=r"rank 1 has no .*tokens-\w+\.arrow"):
        second.setup("fit")


def test_accumulation_splits_no_evaluation_batch(data_module) -> None:
    data = data_module()
    data.trainer = trainer_of(0, 1)
    ready(data)
    assert len(train_batches(data)) == 2
    assert len(list(data.val_dataloader())) == 1


def test_prompts_are_answered_by_length_and_need_no_table(data_module, tmp_path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("Where do all the nurses work?\nWho?\nWhat is it?\n")
    data = ready(data_module(source=None, prompts=str(path), prompts_per_batch=2), "predict")
    batches = [[prompt.text for prompt in batch] for batch in data.predict_dataloader()]
    assert batches == [["Where do all the nurses work?", "What is it?"], ["Who?"]]


def test_prompts_of_equal_length_keep_their_order(data_module) -> None:
    data = ready(data_module(splits="all", prompts_per_batch=7), "predict")
    keys = [(-len(p.token_ids), p.place) for batch in data.predict_dataloader() for p in batch]
    assert keys == sorted((-len(prompt.token_ids), prompt.place) for prompt in data.prompts)
    assert len({length for length, _ in keys}) > 1


def test_records_are_asked_where_no_prompts_are_given(data_module) -> None:
    data = ready(data_module(splits="all"), "predict")
    prompts = [prompt for batch in data.predict_dataloader() for prompt in batch]
    assert sorted(prompt.id for prompt in prompts) == sorted(data.dataset.table["id"].to_pylist())
