"""What was compared, and what a reader must know to read the figures right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from careergpt.compare.comparison import DataFacts, Finding
from careergpt.compare.findings import LEVEL
from careergpt.compare.metrics import COPIED_RUN, MRR, SKILLS_F1
from careergpt.compare.scoring import ScoredCases
from careergpt.compare.writing import WrittenAnswers
from careergpt.data.dataset import CareerDataset
from careergpt.data.names import title_key
from careergpt.data.splits import TEST

_FEW = 20
"""Titles under which a bootstrap interval is too narrow."""


def data_facts(
    scored: ScoredCases, data: CareerDataset, stages: Sequence[Mapping[str, Any]]
) -> DataFacts:
    """What the models were compared on.

    Args:
        scored: The scored records.
        data: Where they are from; it has left out what any stage was trained on, unless asked.
        stages: What the fine-tuned model says it was trained on.
    """
    # Read otherwise, one posting is two texts: only of the same reading is all of it known.
    known = data.knows_training and data.trained_on()["records"] in [
        stage.get("records") for stage in stages
    ]
    source = data.source or ()
    cases = scored.cases
    return DataFacts(
        source=source if isinstance(source, str) else ", ".join(source),
        kept_out=known and not data.include_trained,
        rows=data.n_read,
        records=len({case.record for case in cases}),
        examples=len(cases),
        titles=len({title_key(case.title) for case in cases if case.title}),
        left_out=scored.n_asked - len(cases),
        cut=sum(case.cut for case in cases),
        trained=int(data.n_trained[TEST]),
    )


def notes(
    facts: DataFacts,
    scored: ScoredCases,
    written: WrittenAnswers,
    findings: Sequence[Finding],
    data: CareerDataset,
) -> Iterator[str]:
    """What was cut, what could not be measured and why, what the statistics cannot show."""
    if facts.trained:
        done = "scored, as asked" if data.include_trained else "left out"
        yield f"{facts.trained} rows to test on were trained on by one of the models: {done}."
    if not facts.kept_out and not data.include_trained:
        yield (
            "Whether training saw these records is not known: the fine-tuned model's folder does "
            "not say that it was trained on this table, read in this way."
        )
    if facts.left_out:
        yield f"{facts.left_out} prompts leave no room within {data.max_length} tokens: left out."
    if facts.cut:
        yield (
            f"{facts.cut} of {facts.examples} completions are longer than {data.max_length} tokens "
            "with their prompt: both models are scored on the same beginning of them."
        )
    if not scored.titled:
        yield "No unseen record can be asked by its title: what it is worth is not measured."
    elif scored.swaps is None:
        yield "All records have one title: what it is worth is not measured."
    yield from _on_answers(written)
    yield from limits_of_statistics(findings)


def _on_answers(written: WrittenAnswers) -> Iterator[str]:
    if not written.answers:
        return
    measures = [answer.baseline.measures for answer in written.answers]
    if not any(SKILLS_F1.name in some for some in measures):
        yield "No answered record names a known skill (see --skills): skills are not measured."
    if not any(COPIED_RUN.name in some for some in measures):
        yield (
            "What answers copy from training is not measured: the fine-tuned model's folder does "
            "not say that it was trained on this table, read and split in this way."
        )
    found = sum(MRR.name in some for some in measures)
    yield (
        f"Relevance is over the {found} of {len(written.answers)} answers whose title another "
        "record has, too, that is no near-duplicate; such records are asked first."
    )


def limits_of_statistics(findings: Sequence[Finding]) -> Iterator[str]:
    """Where there are too few titles: what the tests and the intervals can then not show."""
    fewest, most = (some(finding.titles for finding in findings) for some in (min, max))
    # All signs alike is the rarest of 2 ** titles outcomes, to either side. Holm multiplies the
    # least p by the number of metrics, the greatest by none.
    if 2 / 2**most * len(findings) >= LEVEL:
        yield (
            f"With {most} titles and {len(findings)} metrics no difference can be found, "
            "however large."
        )
    elif 2 / 2**fewest >= LEVEL:
        yield (
            f"Some metrics are over {fewest} titles only: in these no difference can be found, "
            "however large."
        )
    elif fewest < _FEW:
        yield f"Some metrics are over {fewest} titles only: their intervals are too narrow."
