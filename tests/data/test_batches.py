"""Laws of batches: exact tensors, the same examples however they are laid, ranks that share."""

import pickle
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from careergpt.data.batches import (
    IGNORED,
    BatchPlan,
    PlannedBatch,
    PlannedBatches,
    Scored,
    Segment,
    TokenBatch,
    collate,
    shuffle_items,
)
from careergpt.data.rows import Budget
from careergpt.errors import InputError

END = 99
ONE = Scored(np.array([5, 6, 7, END]), 2, task=1, n_bytes=10, example=4)
TWO = Scored(np.array([8, 9, END]), 1, task=0, n_bytes=20, example=2)
X = IGNORED


def assert_tensors(batch: TokenBatch, **rows: list) -> None:
    for name, values in rows.items():
        found = getattr(batch, name)
        assert found.dtype == torch.int64
        assert found.tolist() == values, name


def test_padded_rows_are_exactly_these() -> None:
    batch = collate([[ONE], [TWO]])
    assert_tensors(
        batch,
        input_ids=[[5, 6, 7, END], [8, 9, END, 0]],
        labels=[[X, X, 7, END], [X, 9, END, X]],
        position_ids=[[0, 1, 2, 3], [0, 1, 2, 0]],
        segment_ids=[[0, 0, 0, 0], [1, 1, 1, 0]],
        tasks=[1, 0],
        n_bytes=[10, 20],
        scored=[2, 3, 5, 6],
    )
    assert batch.bounds.tolist() == [0, 4, 7, 8]  # The padding is a piece of its own.
    assert batch.segments == (Segment(0, 0, 4), Segment(1, 0, 3))
    assert (batch.examples, batch.n_tokens, batch.n_scored) == ((4, 2), 7, 4)


def test_a_packed_row_is_exactly_this() -> None:
    batch = collate([[ONE, TWO]])
    assert_tensors(
        batch,
        input_ids=[[5, 6, 7, END, 8, 9, END]],
        labels=[[X, X, 7, END, X, 9, END]],
        position_ids=[[0, 1, 2, 3, 0, 1, 2]],
        segment_ids=[[0, 0, 0, 0, 1, 1, 1]],
        tasks=[1, 0],
        n_bytes=[10, 20],
        scored=[2, 3, 5, 6],
    )
    assert batch.bounds.tolist() == [0, 4, 7]
    assert batch.segments == (Segment(0, 0, 4), Segment(0, 4, 7))
    assert (batch.examples, batch.n_tokens, batch.n_scored) == ((4, 2), 7, 4)


def test_the_end_of_text_is_labelled_though_padding_may_have_its_id() -> None:
    zero = Scored(np.array([5, 6, 0]), 1)
    batch = collate([[zero], [Scored(np.array([5, 6, 7, 8, 0]), 1)]])
    assert batch.labels.tolist() == [[X, 6, 0, X, X], [X, 6, 7, 8, 0]]


def test_a_batch_keeps_all_but_its_tensors_when_it_moves() -> None:
    batch = collate([[ONE], [TWO]])
    moved = batch.to(torch.device("meta"))
    assert moved.input_ids.device.type == moved.tasks.device.type == "meta"
    assert moved.segments == batch.segments


def some_store(store_of, count: int = 60, tasks: int = 1, batch: int = 7):
    chance = np.random.default_rng(0)
    return store_of(
        [
            {
                "token_ids": [*chance.integers(100, 900, chance.integers(2, 30)).tolist(), END],
                "n_prompt": 1,
                "task": number % tasks,
                "n_bytes": number,
            }
            for number in range(count)
        ],
        batch,
    )


def batches_of(store, plan: BatchPlan, epoch: int = 0, **loading: int) -> list[TokenBatch]:
    plan.set_epoch(epoch)
    dataset = PlannedBatches(store, 0, shuffle=True)
    return list(DataLoader(dataset, sampler=plan, batch_size=None, **loading))


PACKED = Budget(64, None)


def plan_of(store, budget=PACKED, weights=(1.0,), **other: int) -> BatchPlan:
    members = np.arange(len(store))
    return BatchPlan(store, members, budget, weights=weights, seed=0, **other)


def laid(batches: list[TokenBatch]) -> dict[int, tuple]:
    """What each example looks like in its batch."""
    found = {}
    for batch in batches:
        for number, (row, start, end) in enumerate(batch.segments):
            tensors = (batch.input_ids, batch.labels, batch.position_ids)
            seen = tuple(tuple(tensor[row, start:end].tolist()) for tensor in tensors)
            assert (batch.segment_ids[row, start:end] == number).all()
            facts = (int(batch.tasks[number]), int(batch.n_bytes[number]))
            assert batch.examples[number] not in found
            found[batch.examples[number]] = (*seen, *facts)
    return found


def test_padded_and_packed_batches_hold_the_same_examples(store_of) -> None:
    store = some_store(store_of)
    packed = batches_of(store, plan_of(store))
    padded = batches_of(store, plan_of(store, Budget(None, 4)))
    one_by_one = batches_of(store, plan_of(store, Budget(None, 1)))
    assert laid(packed) == laid(padded) == laid(one_by_one)
    assert sorted(laid(packed)) == list(range(60))
    assert {len(batch.input_ids) for batch in packed} == {1}
    for batches in (packed, padded):
        assert sum(batch.n_tokens for batch in batches) == store.length.sum()
        assert sum(batch.n_scored for batch in batches) == (store.length - 1).sum()


def test_no_first_token_of_an_example_is_scored_and_every_last_one_is(store_of) -> None:
    store = some_store(store_of)
    for batch in batches_of(store, plan_of(store)):
        assert len(batch.segments) > 1
        for row, start, end in batch.segments:
            assert batch.labels[row, start] == IGNORED
            assert batch.labels[row, end - 1] == END


@pytest.mark.parametrize("budget", [PACKED, Budget(None, 4)])
@pytest.mark.parametrize(("ranks", "accumulated"), [(2, 1), (2, 2), (3, 1)])
def test_ranks_partition_what_one_rank_would_accumulate(
    store_of, budget, ranks, accumulated
) -> None:
    store = some_store(store_of)
    alone = plan_of(store, budget, accumulated=ranks * accumulated)
    shares = [
        plan_of(store, budget, rank=rank, ranks=ranks, accumulated=accumulated)
        for rank in range(ranks)
    ]
    for epoch in (0, 3):
        for plan in (alone, *shares):
            plan.set_epoch(epoch)
        together = zip(*map(list, shares), strict=True)
        assert list(alone) == [batch for turn in together for batch in turn]
    assert {len(plan) for plan in shares} == {len(alone) // ranks}
    assert len(alone) % (ranks * accumulated) == 0


@pytest.mark.parametrize("budget", [PACKED, Budget(None, 4)])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 0.3, 0.1), (2.5, 0.0, 0.7)])
def test_every_epoch_has_as_many_batches_as_the_plan_promises(store_of, budget, weights) -> None:
    store = some_store(store_of, tasks=3)
    plan = plan_of(store, budget, weights, accumulated=2)
    for epoch in range(12):
        plan.set_epoch(epoch)
        planned = list(plan)
        assert len(planned) == len(plan)
        assert {batch.epoch for batch in planned} == {epoch}
        if budget.tokens is not None and all(weight % 1 == 0 for weight in weights):
            sums = [sum(int(store.length[i]) for i in batch.rows[0]) for batch in planned]
            assert max(sums) <= budget.tokens


def test_unweighted_batches_are_the_same_in_every_epoch(store_of) -> None:
    store = some_store(store_of, tasks=2)
    plan = plan_of(store, weights=None)
    first = list(plan)
    plan.set_epoch(5)
    assert list(plan) == first
    assert sorted(i for batch in first for i in batch.rows[0]) == list(range(60))


def test_a_plan_holds_its_members_alone(store_of) -> None:
    store = some_store(store_of)
    members = np.array([3, 5, 50])
    plan = BatchPlan(store, members, Budget(None, 2), weights=[1.0], seed=0)
    assert sorted(i for batch in plan for row in batch.rows for i in row) == [3, 5, 50]


def test_an_example_over_the_budget_is_refused_before_the_first_epoch(store_of) -> None:
    lengths = [5] * 20 + [30]
    store = store_of([{"token_ids": [7] * length} for length in lengths])
    for seed in range(10):
        with pytest.raises(InputError, match="batch_tokens is 20, but the longest example has 30"):
            BatchPlan(store, np.arange(21), Budget(20, None), weights=[0.05], seed=seed)


# Items 10-11, 20 and 30-32 with joiners 1 and 2 between, a prompt 0 and an end.
LISTED = {"token_ids": [0, 10, 11, 1, 20, 2, 30, 31, 32, END], "items": [1, 3, 4, 5, 6, 9]}


@given(st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_shuffled_items_change_places_and_joiners_stay(seed: int) -> None:
    ids = np.array(LISTED["token_ids"])
    spans = np.array(LISTED["items"]).reshape(-1, 2)
    found = shuffle_items(ids, spans, np.random.default_rng(seed)).tolist()
    assert sorted(found) == sorted(ids.tolist())
    assert (found[0], found[-1]) == (0, END)
    inner = found[1:-1]
    one, two = inner.index(1), inner.index(2)
    items = [tuple(inner[:one]), tuple(inner[one + 1 : two]), tuple(inner[two + 1 :])]
    assert sorted(items) == [(10, 11), (20,), (30, 31, 32)]


def test_the_order_of_items_depends_on_epoch_example_and_seed_alone(store_of) -> None:
    store = store_of([LISTED] * 40)

    def orders(seed: int, epoch: int) -> list[list[int]]:
        batch = PlannedBatches(store, seed, shuffle=True)[
            PlannedBatch(epoch, [[i] for i in range(40)])
        ]
        return batch.input_ids.tolist()

    first = orders(0, 0)
    assert first == orders(0, 0)
    assert first != orders(0, 1)
    assert first != orders(1, 0)
    assert len({tuple(row) for row in first}) == 6
    still = PlannedBatches(store, 0, shuffle=False)[PlannedBatch(3, [[0]])]
    assert still.input_ids.tolist() == [LISTED["token_ids"]]


def test_loader_processes_give_the_same_batches(store_of) -> None:
    store = some_store(store_of)
    here = batches_of(store, plan_of(store), epoch=2)
    there = batches_of(pickle.loads(pickle.dumps(store)), plan_of(store), epoch=2, num_workers=2)
    assert len(here) == len(there)
    for one, other in zip(here, there, strict=True):
        assert torch.equal(one.input_ids, other.input_ids)
        assert torch.equal(one.labels, other.labels)


def test_a_batch_is_sent_between_processes_by_value_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("through a socket or shared memory")

    monkeypatch.setattr("torch.UntypedStorage._share_fd_cpu_", refuse)
    batch = collate([[ONE, TWO]])
    sent = pickle.loads(ForkingPickler.dumps(batch))
    assert type(sent) is TokenBatch
    for one, other in zip(batch, sent, strict=True):
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
