"""Findings in words, for a terminal and the model card."""

from __future__ import annotations

from careergpt.compare.titles import TitleEvidence


def evidence_text(evidence: TitleEvidence | None) -> str:
    """What a title is worth to the model."""
    if evidence is None:
        return "Titles: the unseen records cannot show what a title is worth (too few of them)."
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
