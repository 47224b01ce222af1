"""The verb compare: what did fine-tuning change, and is it real?"""

from __future__ import annotations

from collections.abc import Iterator

from careergpt.compare.cases import unseen
from careergpt.compare.comparison import Comparison, DataFacts
from careergpt.compare.contenders import Contender
from careergpt.compare.effort import Effort
from careergpt.compare.findings import findings
from careergpt.compare.measures import answer_metrics
from careergpt.compare.metrics import MRR, SKILLS_F1
from careergpt.compare.paired import loss_metrics, paired_scores, title_metric
from careergpt.compare.scoring import Scored, score_cases
from careergpt.compare.surprise import show_records
from careergpt.compare.titles import title_key
from careergpt.compare.verdict import verdict
from careergpt.compare.writing import Written, write_answers, yardsticks
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import TEST

# Answers of records that the report shows, after those to the prompts that everyone is shown.
_SHOWN = 4


def compare(
    contenders: tuple[Contender, Contender], data: CareerDataModule, effort: Effort, command: str
) -> tuple[Comparison, Scored]:
    """Scores both models on the same unseen records, lets both write, and judges the difference.

    Args:
        contenders: The baseline and the fine-tuned model.
        data: Tables, with the fine-tuned model's tokenizer and the shorter of both contexts.
        effort: How much is compared.
        command: What was typed.

    Raises:
        InputError: There is nothing unseen to compare on, or a model's logits are no numbers.
    """
    data.prepare_data()
    data.setup("test")
    asked = unseen(data)
    # Before the work: a mistake in them would cost all of it.
    against = yardsticks(contenders[1], asked, data, effort)
    scored = score_cases(contenders, asked, data, effort)
    titled = [scored.cases[place] for place in scored.titled]
    written = write_answers(contenders, titled, against, effort)
    measures = loss_metrics(scored.cases, scored.scores, scored.same_tokens)
    measures += [title_metric(scored.swaps, scored.same_tokens)] if scored.swaps else []
    found = findings([*measures, *answer_metrics(written.answers)], seed=effort.seed)
    facts = _facts(scored, data)
    pairs = paired_scores(scored.cases, scored.scores)
    to_show = scored.titled or range(len(pairs))
    comparison = Comparison(
        baseline=contenders[0].facts(),
        finetuned=contenders[1].facts(),
        data=facts,
        same_tokenizer=scored.same_tokens,
        findings=found,
        bounds=written.bounds,
        described=written.described,
        scores=pairs,
        shown_records=show_records(
            contenders, [scored.cases[n] for n in to_show], [pairs[n] for n in to_show]
        ),
        shown_answers=written.shown + written.answers[:_SHOWN],
        answers=written.answers,
        verdict=verdict(found, facts, scored.same_tokens),
        notes=tuple(_notes(facts, scored, written, data)),
        command=command,
    )
    return comparison, scored


def _facts(scored: Scored, data: CareerDataModule) -> DataFacts:
    assert data.store is not None
    source = data.source or ()
    records = {case.record: title_key(case.title) for case in scored.cases}
    too_long = (data.split == TEST)[data.store.record] & (data.store.length == 0)
    return DataFacts(
        source=source if isinstance(source, str) else ", ".join(source),
        splits=data.splits,
        rows=data.n_read,
        records=len(records),
        examples=len(scored.cases),
        titles=len(set(records.values())),
        left_out=int(too_long.sum()) + scored.n_asked - len(scored.cases),
        cut=sum(case.cut for case in scored.cases),
    )


def _notes(
    facts: DataFacts, scored: Scored, written: Written, data: CareerDataModule
) -> Iterator[str]:
    """What a reader must know to read the figures right."""
    if facts.left_out:
        yield f"{facts.left_out} prompts leave no room within {data.max_length} tokens: left out."
    if facts.cut:
        yield (
            f"{facts.cut} of {facts.examples} completions are longer than {data.max_length} tokens "
            "with their prompt: both models are scored on the same beginning of them."
        )
    if not scored.titled:
        yield "No task asks by a title: what titles are worth, and answers, are not measured."
    elif scored.swaps is None:
        yield "All records have one title: what it is worth is not measured."
    if not written.answers:
        return
    if data.splits == "all":
        yield "data.splits=all has no training texts: what answers copy from them is not measured."
    measures = [answer.baseline.measures for answer in written.answers]
    if not any(SKILLS_F1.name in some for some in measures):
        yield "No answered record names a known skill (see --skills): skills are not measured."
    found = sum(MRR.name in some for some in measures)
    yield (
        f"Relevance is over the {found} of {len(written.answers)} answers whose title another "
        "unseen record has, too, that is no near-duplicate; such records are asked first."
    )
