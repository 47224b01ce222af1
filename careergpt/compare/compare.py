"""The verb compare: what did fine-tuning change, and is it real?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from careergpt.compare.cases import draw_records, unseen
from careergpt.compare.comparison import Comparison
from careergpt.compare.contenders import Contender, facts_of, same_tokens
from careergpt.compare.effort import Effort
from careergpt.compare.facts import data_facts, notes
from careergpt.compare.findings import findings
from careergpt.compare.floor import with_floor
from careergpt.compare.measures import answer_metrics
from careergpt.compare.paired import loss_metrics, paired_scores, title_metric
from careergpt.compare.scoring import ScoredCases, score_cases
from careergpt.compare.surprise import show_records
from careergpt.compare.verdict import in_plain_words, verdict
from careergpt.compare.writing import write_answers, yardsticks
from careergpt.data.dataset import CareerDataset

# Answers of records that the report shows, after those to the prompts that everyone is shown.
_SHOWN = 4
# Examples on which two tokenizers are tried for being one.
_PROBES = 200


def compare(
    contenders: tuple[Contender, Contender],
    data: CareerDataset,
    effort: Effort,
    command: str,
    stages: Sequence[Mapping[str, Any]],
) -> tuple[Comparison, ScoredCases]:
    """Scores both models on the same unseen records, lets both write, and judges the difference.

    Args:
        contenders: The baseline and the fine-tuned model.
        data: Prepared tables, with the fine-tuned model's tokenizer and the shorter of
            both contexts.
        effort: How much is compared.
        command: What was typed.
        stages: What the fine-tuned model says it was trained on, the last stage last.

    Raises:
        InputError: Nothing unseen fits, or a model's logits are no numbers.
    """
    asked = unseen(data)
    drawn = draw_records(asked, effort.limit, effort.seed)
    same = same_tokens(*contenders, [one.pair for one in drawn[:_PROBES]])
    # Before the work: a mistake in them would cost all of it.
    same_table = data.splits != "all" and [*stages[-1:]] == [data.trained_on()]
    yardstick = yardsticks(
        asked, data, effort, None if same else contenders[1].tokenizer, same_table
    )
    scored = score_cases(contenders, drawn, data, effort, same)
    titled = [scored.cases[place] for place in scored.titled]
    written = write_answers(contenders, titled, yardstick, effort)
    measures = loss_metrics(scored.cases, scored.scores, same)
    measures += [title_metric(scored.swaps, same)] if scored.swaps else []
    found = with_floor(
        findings([*measures, *answer_metrics(written.answers)], seed=effort.seed),
        scored,
        data,
        contenders[1].model.config.vocab_size,
    )
    facts = data_facts(scored, data, stages)
    pairs = paired_scores(scored.cases, scored.scores)
    to_show = scored.titled or range(len(pairs))
    comparison = Comparison(
        baseline=facts_of(contenders[0]),
        finetuned=facts_of(contenders[1]),
        data=facts,
        same_tokenizer=same,
        findings=found,
        bounds=written.bounds,
        described=written.described,
        scores=pairs,
        shown_records=show_records(
            contenders, [scored.cases[n] for n in to_show], [pairs[n] for n in to_show]
        ),
        shown_answers=written.shown + written.answers[:_SHOWN],
        answers=written.answers,
        plain_words=in_plain_words(found, facts, same),
        verdict=verdict(found, facts, same),
        notes=tuple(notes(facts, scored, written, found, data)),
        settings=asdict(effort),
        command=command,
    )
    return comparison, scored
