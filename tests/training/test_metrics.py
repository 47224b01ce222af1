"""Metrics are sums over tokens, whatever the batches."""

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from careergpt.data.batches import Scored, TokenBatch, collate
from careergpt.modeling.folder import build_model, pretrained_config
from careergpt.modeling.loss import TokenScores, token_scores
from careergpt.training.metrics import CompletionMetrics, Quality, named_numbers

TASKS = ["describe", "path", "unused"]


@pytest.fixture
def model(tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return build_model(pretrained_config(str(tiny_gpt2), tokenizer), str(tiny_gpt2)).eval()


def measured(model: PreTrainedModel, batches: list[list[list[Scored]]]) -> dict[str, Quality]:
    metrics = CompletionMetrics(TASKS)
    for rows in batches:
        batch = collate(rows)
        metrics.update(token_scores(model, batch), batch)
    return metrics.compute()


def layouts(examples: list[Scored]) -> dict[str, list[list[list[Scored]]]]:
    by_five = [examples[start : start + 5] for start in range(0, 12, 5)]
    return {
        "one by one": [[[example]] for example in examples],
        "five rows": [[[example] for example in some] for some in by_five],
        "one row": [[examples]],
        "five in a row": [[some] for some in by_five],
        "backwards": [[some[::-1]] for some in by_five[::-1]],
    }


def reference(tiny_gpt2: Path, examples: list[Scored]) -> dict[str, Quality]:
    """Each token by itself, in Python's own arithmetic, from the library's model."""
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2).eval()
    sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0, 0, 0, 0])
    for example in examples:
        ids = torch.from_numpy(example.token_ids)
        with torch.no_grad():
            logs = model(ids[None]).logits[0].double().log_softmax(-1)
        for name in ("", TASKS[example.task]):
            for place in range(example.n_prompt, len(ids)):
                sums[name][0] -= logs[place - 1, ids[place]].item()
                sums[name][1] += int(logs[place - 1].argmax() == ids[place])
                sums[name][2] += 1
            sums[name][3] += example.n_bytes
            sums[name][4] += 1
    return {
        name: Quality(
            nats / tokens,
            math.exp(nats / tokens),
            right / tokens,
            nats / math.log(2) / n_bytes,
            n,
            tokens,
        )
        for name, (nats, right, tokens, n_bytes, n) in sums.items()
    }


def test_metrics_are_those_of_an_independent_count(
    model: PreTrainedModel, tiny_gpt2: Path, examples: list[Scored]
) -> None:
    found = measured(model, [[[example]] for example in examples])
    expected = reference(tiny_gpt2, examples)
    assert set(found) == {"", "describe", "path"}
    for name, quality in expected.items():
        assert tuple(found[name]) == pytest.approx(tuple(quality), rel=1e-5)


@pytest.mark.parametrize("layout", ["five rows", "one row", "five in a row", "backwards"])
def test_metrics_do_not_depend_on_the_batches(
    model: PreTrainedModel, examples: list[Scored], layout: str
) -> None:
    expected = measured(model, layouts(examples)["one by one"])
    found = measured(model, layouts(examples)[layout])
    for name, quality in expected.items():
        assert tuple(found[name]) == pytest.approx(tuple(quality), rel=1e-6)


def scores(
    nats: list[float], tokens: list[int], tasks: list[int]
) -> tuple[TokenScores, TokenBatch]:
    """Examples of so many nats and scored tokens, of four bytes each."""
    batch = collate(
        [[Scored(np.zeros(n + 1), 1, task, 4 * n) for n, task in zip(tokens, tasks, strict=True)]]
    )
    owners = batch.segment_ids.flatten()[batch.scored]
    each = torch.tensor([x / n for x, n in zip(nats, tokens, strict=True)])
    return TokenScores(each[owners], torch.zeros(len(owners), dtype=torch.bool), owners), batch


def test_the_whole_is_weighted_by_tokens_not_by_tasks_or_batches() -> None:
    metrics = CompletionMetrics(TASKS)
    metrics.update(*scores([10.0], [1], [0]))
    metrics.update(*scores([9.0, 0.0], [9, 90], [0, 1]))
    found = metrics.compute()
    assert found[""].loss == pytest.approx(0.19)
    assert found[""].perplexity == pytest.approx(math.exp(0.19))
    assert found["describe"].loss == pytest.approx(1.9)
    assert (found["path"].loss, found["path"].tokens, found["path"].examples) == (0, 90, 1)
    assert found[""].bits_per_byte == pytest.approx(19 / math.log(2) / 400)


def test_a_reset_forgets() -> None:
    metrics = CompletionMetrics(TASKS)
    metrics.update(*scores([10.0], [1], [0]))
    metrics.reset()
    assert metrics.compute() == {}
    metrics.update(*scores([4.0], [2], [1]))
    assert metrics.compute()[""].loss == 2


def test_small_terms_are_not_lost_beside_large_sums() -> None:
    metrics = CompletionMetrics(TASKS)
    metrics.update(*scores([2.0**26], [1], [0]))
    for _ in range(64):
        metrics.update(*scores([1.0], [1], [0]))
    assert metrics.compute()[""].loss * 65 == 2**26 + 64


def test_an_endless_loss_has_a_finite_perplexity() -> None:
    metrics = CompletionMetrics(TASKS)
    metrics.update(*scores([1e6], [1], [0]))
    assert math.isfinite(metrics.compute()[""].perplexity)


def test_numbers_are_named_by_stage_and_task() -> None:
    quality = Quality(1.0, 2.7, 0.5, 0.3, 4, 9)
    assert dict(named_numbers("val", {"": quality, "path": quality})) == {
        "val/loss": 1.0, "val/perplexity": 2.7, "val/accuracy": 0.5, "val/bits_per_byte": 0.3,
        "val/path/loss": 1.0, "val/path/perplexity": 2.7, "val/path/accuracy": 0.5,
        "val/path/bits_per_byte": 0.3,
    }  # fmt: skip
