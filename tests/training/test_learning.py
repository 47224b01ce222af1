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

from careergpt.compare.encoding import Reader
from careergpt.compare.titles import TitlePair, draw_swaps, title_evidence, title_pairs
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


def pairs_of(tokenizer: PreTrainedTokenizerFast, records: list[Fields]) -> list[TitlePair]:
    swaps = draw_swaps(records, DESCRIBE, limit=40, seed=0)
    return [found[0] for found in title_pairs(swaps, DESCRIBE, [Reader(tokenizer, 128)]) if found]


def test_a_model_that_learned_titles_shows_it_and_an_untrained_one_does_not(
    tiny_gpt2: Path, trainer: Callable[..., Trainer], tokenizer: PreTrainedTokenizerFast
) -> None:
    examples = scored(DESCRIBE, descriptions(48, seed=0), tokenizer)
    pairs = pairs_of(tokenizer, descriptions(40, seed=1))
    ids = [example.token_ids for example in examples]
    untrained = CareerModule(pretrained=str(tiny_gpt2))
    untrained.configure_model()
    before = title_evidence(untrained.model, pairs, ids)
    assert before.gain.low <= 0 <= before.gain.high or abs(before.gain.estimate) < 1e-2
    assert not before.gain.low > 0.05
    after = title_evidence(learnt(tiny_gpt2, trainer, examples, steps=60).model, pairs, ids)
    assert after.gain.low > 0.3
    assert after.perplexity_true < after.perplexity_swapped < before.perplexity_true
    assert after.perplexity_trigram == before.perplexity_trigram < before.perplexity_true
    ratio = math.log(after.perplexity_swapped / after.perplexity_true)
    assert after.gain.estimate == pytest.approx(ratio)
    assert (after.records, after.titles) == (40, 8)


def test_a_pair_differs_in_its_title_alone(tokenizer: PreTrainedTokenizerFast) -> None:
    pairs = pairs_of(tokenizer, descriptions(40, seed=1))
    assert len(pairs) == 40
    for pair in pairs:
        assert pair.title != pair.other
        for title, some in ((pair.title, pair.true), (pair.other, pair.swapped)):
            prompt = tokenizer.decode(some.token_ids[: some.n_prompt])
            assert prompt == f"Tell me about a {title}."
        completions = [some.token_ids[some.n_prompt :] for some in (pair.true, pair.swapped)]
        assert np.array_equal(*completions)


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
    pairs = pairs_of(tokenizer, descriptions(16, seed=1))
    evidence = title_evidence(model, pairs, [example.token_ids for example in examples])
    assert evidence.gain.estimate == pytest.approx(0, abs=1e-6)
    assert evidence.perplexity_true == pytest.approx(evidence.perplexity_swapped)
