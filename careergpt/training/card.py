"""The model card: what a model folder says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from careergpt.compare.figures import evidence_text
from careergpt.compare.scores import TitleEvidence
from careergpt.data.tasks import Task
from careergpt.generation.decoding import Generated
from careergpt.modeling.loss import perplexity

_CARD = """---
library_name: transformers
pipeline_tag: text-generation
tags: [careergpt]
---

# A model that describes positions

{start}, trained with careergpt on questions and answers about positions.
It writes what postings of its training data would say; it knows no law, no salary and no person.

```python
from transformers import pipeline
pipeline("text-generation", "PATH/OF/THIS/FOLDER")({example!r})
```

Made by `{command}`.
"""


def model_card(
    start: str,
    command: str,
    val_loss: float | None,
    evidence: TitleEvidence | None,
    tasks: Mapping[str, Task],
    samples: Sequence[Generated],
) -> str:
    """The card in Markdown: what a model folder says of itself.

    Args:
        start: What the model started from.
        command: What was typed.
        val_loss: Best validation loss in nats a completion token.
        evidence: What titles are worth to it.
        tasks: What it was taught.
        samples: Answers to show.
    """
    example = samples[0].prompt if samples else "Which skills does a Nurse need?"
    parts = [_CARD.format(start=start, example=example, command=command)]
    rows = ["| task | prompt | completion | weight |", "|---|---|---|---|"]
    for name, task in tasks.items():
        prompt, completion = (
            text.replace("|", "\\|").replace("\n", " ") for text in (task.prompt, task.completion)
        )
        rows.append(f"| {name} | {prompt} | {completion} | {task.weight:g} |")
    parts.append("\n".join(rows))
    if val_loss is not None:
        parts.append(
            f"Validation: {val_loss:.3f} nats a completion token, "
            f"perplexity {perplexity(val_loss):.2f}."
        )
    if evidence is not None:
        parts.append("```\n" + evidence_text(evidence) + "\n```")
    parts += [f"> {answer.prompt}\n\n{answer.text}" for answer in samples[:1]]
    return "\n\n".join(parts) + "\n"
