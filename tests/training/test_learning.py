"""A tiny model learns: to end its answers, to answer, and what a title is worth."""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from careergpt.compare.figures import evidence_text
from careergpt.compare.scores import TitleEvidence, title_evidence
from careergpt.compare.unseen import Instance, swap_titles
from careergpt.data.batches import Scored, TokenBatch, collate
from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.tasks import Fields, Piece, Task, prompt_completion
from careergpt.data.tokens import Example, encode
from careergpt.generation.decoding import Generated, generate
from careergpt.generation.sampling import Decoding
from careergpt.training.module import CareerModule

PLACES = {"Nurse": "ward", "Welder": "shop", "Paralegal": "court", "Teacher": "school"}
SHORT = Task("Where does a {position_title} work?", "{place}")
DESCRIBE = Task("Tell me about a {position_title}.", "{job_description}")
# Eight titles, each with four words that no other has.
WORDS = {
    "Nurse": "wound care ward triage",
    "Welder": "arc metal torch rigging",
    "Teacher": "class phonics pupils lessons",
    "Driver": "road load diesel night",
    "Lawyer": "court contract case evidence",
    "Chef": "menu sauce kitchen knives",
    "Analyst": "SQL charts statistics tables",
    "Farmer": "soil crops cattle harvest",
}


class Repeated(LightningDataModule):
    """The same batch, as often as there are steps."""

    def __init__(self, batch: TokenBatch, steps: int) -> None:
        super().__init__()
        self.tasks, self.seed = {"describe": None}, 0
        self._batches = [batch] * steps

    def train_dataloader(self) -> DataLoader[TokenBatch]:
        return DataLoader(self._batches, batch_size=None)


def scored(
    task: Task, records: Sequence[Fields], tokenizer: PreTrainedTokenizerFast
) -> list[Scored]:
    pairs = [pair for record in records if (pair := prompt_completion("t", task, record))]
    examples = encode(pairs, tokenizer, 128)
    assert all(isinstance(example, Example) for example in examples)
    return [Scored(np.array(example.token_ids), example.n_prompt) for example in examples]


def learnt(
    tiny_gpt2: Path, trainer: Callable[..., Trainer], examples: list[Scored], steps: int
) -> CareerModule:
    torch.manual_seed(0)
    model = CareerModule(pretrained=str(tiny_gpt2), lr=1e-2, dropout=0.0, weight_decay=0.0)
    trainer().fit(model, datamodule=Repeated(collate([examples]), steps))
    return model


def answers(model: CareerModule, prompts: list[str]) -> list[Generated]:
    questions = [Question(str(n), (Piece(text, None),)) for n, text in enumerate(prompts)]
    batch = ready_prompts(questions, model.tokenizer)
    decoding = Decoding(greedy=True, max_new_tokens=20)
    return generate(model.model, model.tokenizer, batch, decoding, model.context)


def test_answers_and_their_end_are_learned(
    tiny_gpt2: Path, trainer: Callable[..., Trainer], tokenizer: PreTrainedTokenizerFast
) -> None:
    records = [{"position_title": title, "place": place} for title, place in PLACES.items()]
    prompts = [f"Where does a {title} work?" for title in PLACES]
    before = CareerModule(pretrained=str(tiny_gpt2))
    before.configure_model()
    assert {found.finish_reason for found in answers(before, prompts)} == {"length"}
    model = learnt(tiny_gpt2, trainer, scored(SHORT, records, tokenizer), steps=100)
    found = answers(model, prompts)
    assert [answer.text for answer in found] == list(PLACES.values())
    assert {answer.finish_reason for answer in found} == {"end"}
    # Sure of it: the end of text carries its share of the loss.
    assert all(answer.log_probability > math.log(0.9) for answer in found)


def descriptions(number: int, seed: int) -> list[Fields]:
    """Records whose descriptions are their titles' words, in an order of their own."""
    chance = random.Random(seed)
    records: list[Fields] = []
    for place in range(number):
        title = list(WORDS)[place % len(WORDS)]
        words = [chance.choice(WORDS[title].split()) for _ in range(6)]
        records.append({"position_title": title, "job_description": " ".join(words)})
    return records


def instances_of(records: list[Fields]) -> list[Instance]:
    return [
        Instance(str(place), str(fields["position_title"]), place, fields, pair, {})
        for place, fields in enumerate(records)
        if (pair := prompt_completion("describe", DESCRIBE, fields))
    ]


def evidence_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    records: list[Fields],
    training: list[Scored],
    start: PreTrainedModel | None = None,
) -> TitleEvidence:
    task, ids = ("describe", DESCRIBE), [example.token_ids for example in training]
    found = title_evidence(model, tokenizer, instances_of(records), task, 128, ids, start)
    assert found is not None
    return found


def test_a_model_that_learned_titles_shows_it_and_an_untrained_one_does_not(
    tiny_gpt2: Path, trainer: Callable[..., Trainer], tokenizer: PreTrainedTokenizerFast
) -> None:
    examples = scored(DESCRIBE, descriptions(48, seed=0), tokenizer)
    records = descriptions(40, seed=1)
    untrained = CareerModule(pretrained=str(tiny_gpt2))
    untrained.configure_model()
    before = evidence_of(untrained.model, tokenizer, records, examples)
    assert before.gain.low <= 0 <= before.gain.high or abs(before.gain.estimate) < 1e-2
    assert not before.gain.low > 0.05
    model = learnt(tiny_gpt2, trainer, examples, steps=60).model
    after = evidence_of(model, tokenizer, records, examples, untrained.model)
    assert after.gain.low > 0.3
    assert after.perplexity_true < after.perplexity_swapped < before.perplexity_true
    assert after.perplexity_trigram == before.perplexity_trigram < before.perplexity_true
    ratio = math.log(after.perplexity_swapped / after.perplexity_true)
    assert after.gain.estimate == pytest.approx(ratio)
    assert (after.records, after.titles) == (40, 8)
    assert before.gain_before is None
    assert "Before training" not in evidence_text(before)
    assert after.gain_before == before.gain
    assert after.change is not None
    difference = after.gain.estimate - before.gain.estimate
    assert after.change.estimate == pytest.approx(difference)
    assert f"Before training it saved {before.gain.estimate:.3f}: " in evidence_text(after)


def test_a_pair_differs_in_its_title_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    instances = instances_of(descriptions(40, seed=1))
    swaps = swap_titles(instances, "describe", DESCRIBE, {"model": tokenizer}, 128, seed=0)
    assert len(swaps) == 40
    for place, own, other in swaps:
        assert own.title == other.title == own.fields["position_title"] == instances[place].title
        assert own.fields["position_title"] != other.fields["position_title"]
        examples = [one.examples["model"] for one in (own, other)]
        for one, some in zip((own, other), examples, strict=True):
            prompt = tokenizer.decode(some.token_ids[: some.n_prompt])
            assert prompt == f"Tell me about a {one.fields['position_title']}."
        assert np.array_equal(*(some.token_ids[some.n_prompt :] for some in examples))


def test_a_model_that_is_blind_to_titles_gains_nothing(
    tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    module = CareerModule(pretrained=str(tiny_gpt2))
    module.configure_model()
    model: PreTrainedModel = module.model
    with torch.no_grad():
        model.base_model.ln_f.weight.zero_()
        model.base_model.ln_f.bias.normal_()
    examples = scored(DESCRIBE, descriptions(8, seed=0), tokenizer)
    evidence = evidence_of(model, tokenizer, descriptions(16, seed=1), examples)
    assert evidence.gain.estimate == pytest.approx(0, abs=1e-6)
    assert evidence.perplexity_true == pytest.approx(evidence.perplexity_swapped)
