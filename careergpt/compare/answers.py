"""Every model's answers to the same prompts, with the same seeds and decoding, measured."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from careergpt.compare.metrics import ANSWERS, Response
from careergpt.compare.overlap import SkillFinder, longest_copied
from careergpt.compare.relevance import DescriptionIndex
from careergpt.compare.trigram import IntArray
from careergpt.compare.unseen import Instance
from careergpt.data.dataset import CareerDataset
from careergpt.data.names import title_key
from careergpt.data.prompts import DEFAULT_PROMPTS, Question, ready_prompts
from careergpt.data.splits import TRAIN
from careergpt.data.tasks import Piece, PromptForm, text_of
from careergpt.data.text_files import read_lines
from careergpt.data.tokens import encode_texts
from careergpt.data.whole_files import write_lines
from careergpt.generation.decoding import Generated, generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.loaded import LoadedModel

# Prompts that are answered side by side.
_BATCH = 32

COLUMNS = pa.schema(
    {
        **dict.fromkeys(("record", "title", "prompt", "reference"), pa.string()),
        **dict.fromkeys(("model", "text", "finish_reason"), pa.string()),
        "token_ids": pa.list_(pa.int32()),
        **{metric.name: pa.float64() for metric in ANSWERS},
    }
)
"""The table of answers: a row for each prompt and model; `record` and `reference` are empty for a
prompt of no record. A metric that does not apply to an answer is null.
"""


class References(NamedTuple):
    """What answers are measured against.

    Attributes:
        tokenizer: Counts the tokens of all models' texts; None: theirs are the same.
        descriptions: All unseen ones.
        places: Where in them each record's own is.
        skills: Finds the known ones.
        training: The token ids of every training text; None: they are not known.
    """

    tokenizer: PreTrainedTokenizerFast | None
    descriptions: DescriptionIndex
    places: Mapping[str, int]
    skills: SkillFinder
    training: Iterable[IntArray] | None


def references(
    instances: Sequence[Instance],
    data: CareerDataset,
    tokenizer: PreTrainedTokenizerFast | None,
    *,
    skills: str | None,
    embedder: str | None,
    same_table: bool,
) -> References | None:
    """What answers to these instances are measured against; None where there are none.

    Args:
        instances: All unseen records that are asked by their title.
        data: Where they are from.
        tokenizer: Counts the tokens of texts; None: all models' tokens are the same.
        skills: A file of known skills, one a line; None: those that training knows.
        embedder: A sentence-transformers model; None: TF-IDF.
        same_table: Whether the data's training split is what the model was trained on.
    """
    # Read also where nothing is answered: a mistake in it is told.
    named = [line for _, line in read_lines(skills)] if skills else None
    if not instances:
        return None
    descriptions = DescriptionIndex(
        [text_of(one.pair.completion) for one in instances],
        [one.title for one in instances],
        [one.group for one in instances],
        embedder,
    )
    return References(
        tokenizer,
        descriptions,
        {one.record: place for place, one in enumerate(instances)},
        SkillFinder(named or data.known_skills()),
        training_texts(data, "looking for copies") if same_table else None,
    )


def training_texts(data: CareerDataset, what: str) -> Iterator[IntArray]:
    """The tokens of every training text, as far as they are read, behind a progress bar."""
    for example in tqdm(data.members(TRAIN).tolist(), desc=what, unit=" texts"):
        yield data.store.token_ids(example)


def draw_prompts(instances: Sequence[Instance], number: int, seed: int) -> list[Instance]:
    """At most `number` of the instances, drawn; those first that can show relevance.

    Those are the ones whose title another has too that is no near-duplicate.
    """
    groups = defaultdict(set)
    for one in instances:
        groups[title_key(one.title)].add(one.group)
    order = np.random.default_rng(seed).permutation(len(instances)).tolist()
    drawn = sorted(order, key=lambda place: len(groups[title_key(instances[place].title)]) < 2)
    return [instances[place] for place in drawn[:number]]


def answer(
    models: Mapping[str, LoadedModel],
    instances: Sequence[Instance],
    decoding: Decoding,
    against: References | None,
    form: PromptForm = "plain",
) -> pa.Table:
    """The table of answers: to the default prompts, of no record, then to those of the instances.

    Args:
        models: Name -> model.
        instances: Records whose prompts are answered.
        decoding: How to write.
        against: What the answers to the instances are measured against; None: nothing.
        form: How all models read prompts.
    """
    questions = [Question("", (Piece(prompt, None),)) for prompt in DEFAULT_PROMPTS]
    questions += [Question(one.record, one.pair.prompt) for one in instances]
    generated = _generate(models, questions, decoding, form)
    asked = {place: one for place, one in enumerate(instances, len(DEFAULT_PROMPTS))}
    rows = [
        {
            "record": one.id,
            "title": asked[one.place].title if one.place in asked else "",
            "prompt": one.prompt,
            "reference": asked[one.place].completion if one.place in asked else "",
            "model": name,
            "text": one.text,
            "finish_reason": one.finish_reason,
        }
        for name, one in generated
    ]
    # There is no right answer to the default prompts: they come first, and are not measured.
    answered = [(asked[one.place], one) for _, one in generated if one.place in asked]
    if against and answered:
        for row, measures in zip(rows[-len(answered) :], _measure(answered, against), strict=True):
            row.update(measures)
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def _generate(
    models: Mapping[str, LoadedModel],
    questions: Sequence[Question],
    decoding: Decoding,
    form: PromptForm,
) -> list[tuple[str, Generated]]:
    """Every model's answer to each question that leaves room for one, question by question."""
    context = min(model.context for model in models.values())
    prompts = {n: ready_prompts(questions, m.tokenizer, form) for n, m in models.items()}
    # The default prompts may be too long for a small model; those of instances were tried.
    fit = [
        place
        for place, same in enumerate(zip(*prompts.values(), strict=True))
        if all(len(prompt.token_ids) < context for prompt in same)
    ]
    written: dict[tuple[int, str], Generated] = {}
    for name, model in models.items():
        # Of near-equal length together; a draw belongs to the prompt's place, not to the batch.
        ready = sorted((prompts[name][n] for n in fit), key=lambda prompt: -len(prompt.token_ids))
        for at in tqdm(range(0, len(ready), _BATCH), desc=f"answering, {name}", unit=" batches"):
            batch = ready[at : at + _BATCH]
            for one in generate(model.model, model.tokenizer, batch, decoding, context):
                written[one.place, name] = one
    return [(name, written[place, name]) for place in fit for name in models]


def _measure(
    answered: Sequence[tuple[Instance, Generated]], against: References
) -> Iterator[dict[str, Any]]:
    """Of each answer the metrics that apply, and its tokens."""
    texts = [answer.text for _, answer in answered]
    if against.tokenizer is None:  # As written, without the end.
        tokens = [
            [*one.token_ids[: one.n_tokens - (one.finish_reason == "end")]] for _, one in answered
        ]
    else:
        tokens = encode_texts(against.tokenizer, [f" {text}" for text in texts])
    ranks = against.descriptions.ranks(
        texts, [one.title for one, _ in answered], [[one.group] for one, _ in answered]
    )
    copied: Sequence[int | None] = [None] * len(answered)
    if against.training is not None:
        copied = longest_copied(tokens, against.training)
    bar = tqdm(answered, desc="measuring answers", unit=" answers")
    for place, (instance, one) in enumerate(bar):
        response = Response(
            text=one.text,
            tokens=tokens[place],
            ended=one.finish_reason == "end",
            reference=instance.completion,
            skills=against.skills.find(one.text),
            wanted=against.skills.find_in_record(instance.fields)
            | against.skills.find(instance.completion),
            rank=ranks[place],
            copied=copied[place],
        )
        values = {metric.name: metric.measure(response) for metric in ANSWERS}
        yield {name: None if value is None else float(value) for name, value in values.items()} | {
            "token_ids": tokens[place]
        }


def by_prompt(answers: pa.Table) -> list[dict[str, dict[str, Any]]]:
    """For each prompt: model -> its row of the table."""
    found: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for row in answers.to_pylist():
        found.setdefault((row["record"], row["prompt"]), {})[row["model"]] = row
    return list(found.values())


def write_answers(path: Path, answers: pa.Table) -> None:
    """Writes answers.jsonl: a line for each prompt and model, with its measures."""
    rows = answers.drop_columns(["reference", "token_ids"]).to_pylist()
    write_lines(path, ({k: v for k, v in row.items() if v is not None} for row in rows))
