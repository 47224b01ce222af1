"""Findings in words, for a terminal and the model card."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from careergpt.compare.comparison import Comparison
from careergpt.compare.titles import TitleEvidence
from careergpt.recommend.evaluation import RankingMetrics, ranking_tasks
from careergpt.recommend.ranking import Rankings
from careergpt.training.metrics import Quality

PROMPTS = Path("data/prompts.txt")
"""Prompts to begin with, where the commands are typed in a checkout."""


def next_commands(
    config: Path, model: Path, start: str, rankings: Rankings, min_count: int, tests: bool
) -> list[str]:
    """What to type after a fit; only what works with this model and this table.

    Args:
        config: The run's configuration.
        model: The model folder.
        start: Where the starting model is.
        rankings: What the folder knows.
        min_count: Training records that a title or skill had to be in to be known.
        tests: Whether any example is in the test split.
    """
    own, configured = (shlex.quote(str(path)) for path in (model, config))
    lines = []
    if someone := _someone(rankings):
        lines.append(f"recommend --model.pretrained {own} {someone}")
    if PROMPTS.exists():
        lines.append(f"predict --model.pretrained {own} --data.prompts {PROMPTS}")
    if tests:
        lines += [
            f"test --config {configured} --model.pretrained {own}",
            f"compare --config {configured} --baseline {shlex.quote(start)} --finetuned {own}",
        ]
    told = [f"  python main.py {line}" for line in lines]
    if ranking_tasks(rankings.tasks) and not someone:
        told.append(
            f"Nothing to recommend: no title or skill is in {min_count} training records or more. "
            "Lower --data.min_count, or list titles: recommend --candidates FILE"
        )
    if not tests:
        told.append("Nothing to test on: raise --data.test_fraction, or name another table")
    return told


def _someone(rankings: Rankings) -> str:
    """The options of a person whom the model can answer; empty where there is none."""
    titles, skills = (rankings.candidates[kind] for kind in ("titles", "skills"))
    if len(titles) and "path" in rankings.by_task:
        return f"--position {shlex.quote(titles.names[0])}"
    if len(skills) and "position" in rankings.by_task:
        return f"--skills {shlex.quote(skills.names[0])}"
    if len(titles) and "skills" in rankings.by_task:
        return f"--position {shlex.quote(titles.names[0])}"
    return ""


def quality_table(quality: Mapping[str, Quality]) -> str:
    """How well completions are foretold: all together, then by task."""
    lines = [
        f"{'task':10}{'examples':>10}{'tokens':>12}{'loss':>9}{'perplexity':>12}"
        f"{'accuracy':>10}{'bits/byte':>11}"
    ]
    lines += [
        f"{task or 'all':10}{q.examples:>10,}{q.tokens:>12,}{q.loss:>9.4f}{q.perplexity:>12.2f}"
        f"{q.accuracy:>10.3f}{q.bits_per_byte:>11.3f}"
        for task, q in quality.items()
    ]
    return "\n".join(lines)


def rankings_table(
    metrics: Mapping[tuple[str, str], RankingMetrics], candidates: Mapping[str, int]
) -> str:
    """Where what was to be found came among the candidates, by each that ranked them."""
    lines = [
        f"{'ranking':14}{'by':12}{'queries':>8}{'MRR':>8}{'rec@1':>8}{'rec@5':>8}{'rec@10':>8}"
        f"{'MAP':>8}{'perplexity':>13}{'cal. error':>12}"
    ]
    for (task, ranker), found in metrics.items():
        recalls = (found.recall_at_1, found.recall_at_5, found.recall_at_10)
        lines.append(
            f"{task:14}{ranker:12}{found.n:>8,}{found.mrr:>8.3f}"
            + "".join(f"{recall:>8.3f}" for recall in recalls)
            + f"{found.map:>8.3f}{found.perplexity:>13.1f}"
            f"{found.calibration_error:>12.3f}"
        )
    lines += [
        f"{task}: {candidates[task.partition('/')[0]]:,} candidates; {found.outside:,} "
        f"targets are none of them; {found.left_out:,} queries with no other target are left out"
        for (task, ranker), found in metrics.items()
        if ranker == "model"
    ]
    return "\n".join(lines)


def evidence_text(evidence: TitleEvidence) -> str:
    """What a title is worth to the model."""
    gain = evidence.gain
    if gain.low > 0:
        verdict = "the title helps"
    elif gain.high < 0:
        verdict = "the title misleads"
    else:
        verdict = "no difference found"
    return "\n".join(
        [
            f"Perplexity of {evidence.records} unseen descriptions ({evidence.titles} titles), "
            "a token:",
            f"  under their true title     {evidence.perplexity_true:8.2f}",
            f"  under another's title      {evidence.perplexity_swapped:8.2f}",
            f"  trigram, same rows         {evidence.perplexity_trigram:8.2f}",
            f"The true title saves {gain.estimate:.3f} nats a token "
            f"(95 % interval {gain.low:.3f} to {gain.high:.3f}, by title): {verdict}.",
        ]
    )


def findings_text(comparison: Comparison) -> str:
    """The metrics of a comparison: both models, the difference, and what may be said of it."""
    lines = [
        f"{'metric':34}{'task':10}{'n':>6}{'trigram':>9}{'baseline':>10}{'finetuned':>11}"
        f"{'difference':>12}{'95 % interval':>22}{'p (Holm)':>10}  verdict"
    ]
    for found in comparison.findings:
        difference, low, high = found.difference
        floor = "" if found.trigram is None else f"{found.trigram:.4f}"
        lines.append(
            f"{found.metric.label:34}{found.task or 'all':10}{found.n:>6,}{floor:>9}"
            f"{found.baseline:>10.4f}{found.finetuned:>11.4f}{difference:>+12.4f}"
            f"{f'{low:+.4f} to {high:+.4f}':>22}{found.p_holm:>10.4f}  {found.verdict}"
        )
    return "\n".join(lines)
