"""Scores of single completions beside transformers' own loss, and the table of them."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from careergpt.compare.findings import measured_scores
from careergpt.compare.scores import (
    TRIGRAM,
    Scorer,
    completion_nats,
    rows_of,
    score_table,
    token_nats,
    write_scores,
)
from careergpt.compare.unseen import Instance
from careergpt.data.tasks import Piece, PromptCompletion
from careergpt.data.tokens import Example
from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel, find_model


@pytest.fixture(scope="module")
def model(tiny_gpt2: Path) -> LoadedModel:
    return find_model(str(tiny_gpt2)).load(torch.device("cpu"))


@pytest.fixture(scope="module")
def examples(tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Of 2 to 120 tokens, with prompts of any share of them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 120, size=40).tolist()
    return [
        Example(rng.integers(len(tokenizer), size=n).tolist(), int(rng.integers(1, n)), 9, 0, [])
        for n in lengths
    ]


def test_a_score_is_transformers_loss_times_its_tokens(
    model: LoadedModel, examples: list[Example], tiny_gpt2: Path
) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(tiny_gpt2, dtype=torch.float32)
    for example, nats in zip(examples, completion_nats(model.model, examples), strict=True):
        ids = torch.tensor([example.token_ids])
        labels = ids.clone()
        labels[:, : example.n_prompt] = -100
        with torch.no_grad():
            loss = theirs(input_ids=ids, labels=labels).loss
        assert nats == pytest.approx(float(loss) * example.n_scored, abs=1e-3)


def test_no_batch_size_changes_a_score(model: LoadedModel, examples: list[Example]) -> None:
    scores = [
        completion_nats(model.model, examples, batch_tokens=tokens) for tokens in (1, 200, 9999)
    ]
    assert np.abs(scores[0] - scores[1]).max() < 1e-3
    assert np.abs(scores[0] - scores[2]).max() < 1e-3


def test_a_token_s_nats_come_in_its_order(model: LoadedModel, examples: list[Example]) -> None:
    together = dict(token_nats(model.model, examples))
    for place, example in enumerate(examples):
        [(_, alone)] = token_nats(model.model, [example])
        assert len(alone) == example.n_scored
        assert np.allclose(together[place], alone, atol=1e-4)


def test_a_model_that_diverged_is_refused(tiny_gpt2: Path, examples: list[Example]) -> None:
    broken = find_model(str(tiny_gpt2)).load(torch.device("cpu"))
    with torch.no_grad():
        broken.model.base_model.ln_f.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        completion_nats(broken.model, examples)


def instance(record: str, title: str, task: str = "describe") -> Instance:
    pieces = (Piece(f" Work of {record}.", None),)
    pair = PromptCompletion(task, (Piece(f"A {title}?", None),), pieces)
    example = Example([1, 2, 3, 4], 1, 10, 0, [])
    return Instance(
        record, title, 0, {"position_title": title}, pair, dict.fromkeys("abc", example)
    )


def test_the_table_holds_any_number_of_models_and_every_figure_is_a_group_of_it() -> None:
    instances = [instance("1", "Nurse"), instance("2", "nurse!"), instance("3", "", "path")]

    def dearer(cost: float) -> Scorer:
        """Costs so much, and four nats under another's title."""
        return lambda examples, what: np.full(len(examples), 4.0 if "other" in what else cost)

    swaps = [(0, instances[0], instance("1", "Welder"))]
    scores = score_table(instances, swaps, {"a": dearer(3.0), "b": dearer(2.0)}, {"c": dearer(1.0)})
    assert scores.num_rows == 9 + 2
    assert rows_of(scores, "c")["nats"].tolist() == [1.0, 1.0, 1.0]
    assert rows_of(scores, "b", "path")["record"].tolist() == ["3"]
    assert rows_of(scores, "b")["cluster"].tolist() == ["nurse", "nurse", "3"]
    for better, gain in (("b", 2.0), ("a", 1.0)):
        found = measured_scores(scores, ["a", better], same_tokenizer=True)
        assert [(one.metric.name, one.task) for one in found] == [
            ("loss", ""), ("loss", "describe"), ("loss", "path"), ("title_gain", "describe")
        ]  # fmt: skip
        assert found[-1].values["a"].tolist() == [1.0]
        assert found[-1].values[better].tolist() == [gain]
    [loss, *_, last] = measured_scores(scores, ["a", "b", "c"], same_tokenizer=True)
    assert loss.values["c"].tolist() == [1.0, 1.0, 1.0]
    assert last.metric.name == "loss"


def test_a_completion_that_another_title_shortens_is_scored_anew_under_its_own() -> None:
    """Else the title's worth would compare two texts."""
    whole = instance("r1", "Nurse")
    example = whole.examples["a"]
    short = example._replace(token_ids=example.token_ids[:-1])
    own, other = (one._replace(examples={"a": short}) for one in (whole, instance("r1", "Welder")))
    cost: Scorer = lambda some, _: np.array([float(one.n_scored) for one in some])  # noqa: E731
    table = score_table([whole], [(0, own, other)], {"a": cost})
    assert rows_of(table, "a")["nats"].tolist() == [3]
    assert rows_of(table, "a", other_titles=True)["nats_own_title"].tolist() == [2]


def test_the_file_has_no_row_of_the_model_that_counts(tmp_path: Path) -> None:
    scorers = dict.fromkeys(["a", TRIGRAM], lambda examples, _: np.ones(len(examples)))
    one = instance("1", "Nurse")
    one = one._replace(examples=dict.fromkeys(scorers, one.examples["a"]))
    write_scores(tmp_path / "scores.parquet", score_table([one], [], scorers))
    assert pq.read_table(tmp_path / "scores.parquet")["model"].to_pylist() == ["a"]
