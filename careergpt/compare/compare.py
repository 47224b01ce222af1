"""The verb compare: what did fine-tuning change, and is it real?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from careergpt.compare.answers import COLUMNS, answer, draw_prompts, references, training_texts
from careergpt.compare.comparison import BASELINE, Comparison, DataFacts, ModelFacts
from careergpt.compare.conditions import check_conditions, margins_of
from careergpt.compare.findings import (
    answers_of,
    diversity,
    findings,
    measured_answers,
    measured_scores,
    ranks,
    with_floor,
)
from careergpt.compare.foreign_scores import models_of, pair
from careergpt.compare.metrics import (
    BITS,
    COPIED_RUN,
    LOSS,
    METRICS,
    MRR,
    SKILLS_F1,
    TITLE_GAIN,
    TITLE_GAIN_BITS,
)
from careergpt.compare.relevance import relevance_bounds
from careergpt.compare.scores import TABLE, TRIGRAM, model_scorer, score_table, trigram_scorer
from careergpt.compare.unseen import (
    Instance,
    draw_records,
    encode_instances,
    same_tokens,
    swap_titles,
    title_task,
    unseen,
)
from careergpt.compare.wording import in_plain_words, limits_of_statistics, verdict
from careergpt.compare.words import word_scores
from careergpt.data.dataset import CareerDataset
from careergpt.data.names import title_key
from careergpt.data.splits import TEST, TRAIN
from careergpt.errors import InputError
from careergpt.generation.sampling import Decoding
from careergpt.modeling.loaded import LoadedModel

# Examples on which two tokenizers are tried for being one.
_PROBES = 200


@dataclass(frozen=True)
class Options:
    """How much is compared, and how.

    Args:
        limit: Unseen records that are scored, drawn by the seed; null: all.
        answers: Unseen records whose prompt both models answer; 0: none.
        decoding: How both write.
        skills: A file of known skills, one a line. Null: those seen in training at least
            data.min_count times.
        embedder: A sentence-transformers model that judges relevance; null: TF-IDF.
        batch_tokens: Tokens that are scored side by side; any number gives the same scores.
        seed: Draws records, prompts, others' titles and resamples.
        equivalence: Within which difference a metric's models count as equivalent:
            "loss=0.02,relevance_mrr=0.05".
        gate: What every difference from the baseline must keep, by its whole interval:
            "loss<=-0.05,relevance_mrr>=0". Where one does not, the exit code is 1.
    """

    limit: int | None = None
    answers: int = 64
    decoding: Decoding = Decoding()
    skills: str | None = None
    embedder: str | None = None
    batch_tokens: int = 8192
    seed: int = 0
    equivalence: str = ""
    gate: str = ""

    def __post_init__(self) -> None:
        """Raises InputError for a number out of its range."""
        least = {"limit": 1, "answers": 0, "batch_tokens": 1, "seed": 0}
        for name, bound in least.items():
            found = getattr(self, name)
            if found is not None and found < bound:
                raise InputError(f"--{name} must be {bound} or more, found {found}")


def compare(
    models: Mapping[str, LoadedModel],
    data: CareerDataset,
    options: Options,
    command: str,
    stages: Sequence[Sequence[Mapping[str, Any]]],
) -> Comparison:
    """Scores all models on the same unseen records, lets all write, and judges the differences.

    Args:
        models: Name -> model, the baseline first.
        data: Prepared tables, with the first fine-tuned model's tokenizer and the shortest context.
        options: How much is compared.
        command: What was typed.
        stages: What each fine-tuned model says it was trained on, the last stage last.

    Raises:
        InputError: Nothing unseen fits, or a model's logits are no numbers.
    """
    names = [*models]
    finetuned = models[names[1]]
    everything = unseen(data)
    drawn = draw_records(everything, options.limit, options.seed)
    same = same_tokens(list(models.values()), [one.pair for one in drawn[:_PROBES]])
    # Where the tokens are the same, one tokenizer reads for all.
    tokenizers = {n: finetuned.tokenizer if same else m.tokenizer for n, m in models.items()}
    asked = {one.pair.task for one in everything}
    title, task = title_task({n: t for n, t in data.tasks.items() if n in asked}) or ("", None)
    # Before the work: a mistake in them would cost all of it.
    against = references(
        [one for one in everything if one.pair.task == title and options.answers],
        data,
        None if same else finetuned.tokenizer,
        skills=options.skills,
        embedder=options.embedder,
        same_table=data.splits != "all"
        and all([*one[-1:]] == [data.trained_on()] for one in stages),
    )
    unshared = (BITS, TITLE_GAIN_BITS) if same else (LOSS, TITLE_GAIN)
    check_conditions(options.equivalence, options.gate, METRICS, unshared)
    readers = tokenizers | {TRIGRAM: finetuned.tokenizer}
    instances = encode_instances(drawn, readers, data.max_length)
    swaps = swap_titles(instances, title, task, tokenizers, data.max_length, options.seed)
    scorers = {n: model_scorer(m.model, options.batch_tokens) for n, m in models.items()}
    floor = {}
    if data.splits != "all" and len(data.members(TRAIN)):
        counted = training_texts(data, "counting trigrams")
        floor = {TRIGRAM: trigram_scorer(counted, finetuned.model.config.vocab_size)}
    scores = score_table(instances, swaps, scorers, floor)
    titled = [one for one in instances if one.pair.task == title]
    prompts = draw_prompts(titled, options.answers, options.seed) if against else []
    answers = answer(models, prompts, options.decoding, against, data.form)
    silent = [*_mostly_empty(answers, names)]
    measured = measured_scores(scores, names, same_tokenizer=same)
    measured += [] if silent else measured_answers(answers, names)
    margins = margins_of(options.equivalence, METRICS)
    found = with_floor(findings(measured, margins=margins, seed=options.seed), scores)
    ranked = ranks(measured, seed=options.seed)
    facts = _data_facts(instances, len(drawn) - len(instances), data, stages)
    bounds = {}
    if against:
        places = [against.places[one.record] for one in prompts]
        bounds = relevance_bounds(against.descriptions, places, seed=options.seed)
    notes = [
        *_notes_on_data(facts, data),
        *_notes_on_titles(len(titled), len(swaps)),
        *(silent or _notes_on_answers(answers)),
        *limits_of_statistics(found),
    ]
    return Comparison(
        models={name: _model_facts(model) for name, model in models.items()},
        data=facts,
        same_tokenizer=same,
        findings=found,
        ranks=ranked,
        bounds=bounds,
        diversity={} if silent else diversity(answers, names),
        scores=scores,
        answers=answers,
        word_scores=word_scores(
            models, titled or instances, scores, title if titled else "", same_tokenizer=same
        ),
        plain_words=in_plain_words(found, facts, same),
        verdict=verdict(found, facts, same, ranked),
        notes=tuple(notes),
        settings=asdict(options),
        command=command,
    )


def compare_scores(
    baseline: str, finetuned: Mapping[str, str], options: Options, lower: str, command: str
) -> Comparison:
    """Judges the differences of scores that are already there; no model is loaded.

    Args:
        baseline: The baseline's file of scores.
        finetuned: Name -> file.
        options: Of them `seed`, `equivalence` and `gate` count.
        lower: Metrics of other tools of which less is better, with commas between them.
        command: What was typed.

    Raises:
        InputError: A file cannot be read, nothing is in common, or a condition is malformed.
    """
    samples = models_of(baseline, finetuned)
    measured, paired, alone = pair(samples, lower.split(","))
    known = list(dict.fromkeys(one.metric for one in measured))
    check_conditions(options.equivalence, options.gate, known, ())
    margins = margins_of(options.equivalence, known)
    found = findings(measured, margins=margins, seed=options.seed)
    ranked = ranks(measured, seed=options.seed)
    same = BITS not in known
    files = [finetuned.get(name) or finetuned[name.rpartition(":")[0]] for name in [*samples][1:]]
    facts = DataFacts(
        source=", ".join(dict.fromkeys(one.task for one in samples[BASELINE])),
        kept_out=False,
        rows=paired + alone,
        records=paired,
        examples=paired,
        titles=0,
        left_out=alone,
        cut=0,
    )
    notes = [f"Samples without a partner in every file, left out: {alone}."] if alone else []
    return Comparison(
        models={
            name: ModelFacts(file, 0, 0, 0)
            for name, file in zip(samples, [baseline, *files], strict=True)
        },
        data=facts,
        same_tokenizer=same,
        findings=found,
        ranks=ranked,
        bounds={},
        diversity={},
        scores=TABLE.empty_table(),
        answers=COLUMNS.empty_table(),
        word_scores=(),
        plain_words=in_plain_words(found, facts, same),
        verdict=verdict(found, facts, same, ranked),
        notes=(*notes, *limits_of_statistics(found)),
        settings=asdict(options),
        command=command,
    )


def _model_facts(model: LoadedModel) -> ModelFacts:
    parameters = sum(parameter.numel() for parameter in model.model.parameters())
    return ModelFacts(model.source, parameters, len(model.tokenizer), model.context)


def _data_facts(
    instances: Sequence[Instance],
    left_out: int,
    data: CareerDataset,
    stages: Sequence[Sequence[Mapping[str, Any]]],
) -> DataFacts:
    # Read otherwise, one posting is two texts: only of the same reading is all of it known.
    records = data.trained_on()["records"]
    known = data.knows_training and all(
        records in [stage.get("records") for stage in one] for one in stages
    )
    source = data.source or ()
    return DataFacts(
        source=source if isinstance(source, str) else ", ".join(source),
        # The tables leave out what any stage was trained on, unless told otherwise.
        kept_out=known and not data.include_trained,
        rows=data.n_read,
        records=len({one.record for one in instances}),
        examples=len(instances),
        titles=len({title_key(one.title) for one in instances if one.title}),
        left_out=left_out,
        cut=sum(one.is_cut for one in instances),
        trained=int(data.n_trained[TEST]),
    )


# Notes: what was cut, what could not be measured and why.


def _notes_on_data(facts: DataFacts, data: CareerDataset) -> Iterator[str]:
    if facts.trained:
        done = "scored, as asked" if data.include_trained else "left out"
        yield f"{facts.trained} rows to test on were trained on by one of the models: {done}."
    if not facts.kept_out and not data.include_trained:
        yield (
            "Whether training saw these records is not known: a fine-tuned model's folder does "
            "not say that it was trained on this table, read in this way."
        )
    if facts.left_out:
        yield f"{facts.left_out} prompts leave no room within {data.max_length} tokens: left out."
    if facts.cut:
        yield (
            f"{facts.cut} of {facts.examples} completions are longer than {data.max_length} tokens "
            "with their prompt: all models are scored on the same beginning of them."
        )


def _notes_on_titles(n_titled: int, n_swapped: int) -> Iterator[str]:
    if not n_titled:
        yield "No unseen record can be asked by its title: what it is worth is not measured."
    elif not n_swapped:
        yield "All records have one title: what it is worth is not measured."


def _mostly_empty(answers: pa.Table, models: Sequence[str]) -> Iterator[str]:
    """Which models' answers are too often empty to be compared; silence copies and repeats none."""
    for model in models:
        texts = answers_of(answers, model)["text"].to_pylist()
        if 2 * texts.count("") > len(texts):
            yield (
                f"{texts.count('')} of {len(texts)} answers of the {model} model are empty, so "
                "answers are not compared: fine-tune with --data.prompt_form newline or chat, in "
                "which both are then asked."
            )


def _notes_on_answers(answers: pa.Table) -> Iterator[str]:
    written = answers_of(answers, BASELINE)
    if not len(written):
        return
    n_skills, n_copied, n_found = (
        len(written) - written[metric.name].null_count for metric in (SKILLS_F1, COPIED_RUN, MRR)
    )
    if not n_skills:
        yield "No answered record names a known skill (see --skills): skills are not measured."
    if not n_copied:
        yield (
            "What answers copy from training is not measured: a fine-tuned model's folder does "
            "not say that it was trained on this table, read and split in this way."
        )
    yield (
        f"Relevance is over the {n_found} of {len(written)} answers whose title another "
        "record has, too, that is no near-duplicate; such records are asked first."
    )
