"""Completions word by word: what each word cost each model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from careergpt.compare.comparison import WordScores
from careergpt.compare.metrics import instance_losses
from careergpt.compare.scores import rows_of, token_nats
from careergpt.compare.unseen import Instance
from careergpt.data.tasks import text_of
from careergpt.data.tokens import Example
from careergpt.modeling.loaded import LoadedModel

END = "\u220e"
"""Stands for the end of text: the sign at the end of a proof."""

_WORD = re.compile(r"\s*\S+|\s+$")


def word_nats(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, instance: Instance, example: Example
) -> tuple[tuple[str, float], ...]:
    """The words that the example's completion spells, each with the nats of its tokens.

    Example: ((" Cares", 5.1), (" for", 0.2), (" patients.", 1.4), ("\u220e", 0.1)).
    """
    [(_, nats)] = token_nats(model, [example])
    pieces = [piece.text for piece in instance.pair.completion]
    encoded = tokenizer.backend_tokenizer.encode_batch(pieces, add_special_tokens=False)
    before = np.cumsum([0, *map(len, pieces)])
    # Where in the completion each of its tokens starts, in characters.
    starts = [
        at + start for at, one in zip(before, encoded, strict=False) for start, _ in one.offsets
    ]
    starts = starts[: len(nats)]
    text = text_of(instance.pair.completion)
    spans = [match.span() for match in _WORD.finditer(text)]
    owners = np.searchsorted([start for start, _ in spans], starts, side="right") - 1
    costs = np.bincount(owners, weights=nats[: len(starts)], minlength=len(spans))
    n_words = int(owners.max(initial=-1)) + 1
    found = [(text[slice(*span)], float(costs[n])) for n, span in enumerate(spans[:n_words])]
    if len(nats) > len(starts):
        found.append((END, float(nats[-1])))
    return tuple(found)


def word_scores(
    models: Mapping[str, LoadedModel],
    instances: Sequence[Instance],
    scores: pa.Table,
    task: str,
    *,
    same_tokenizer: bool,
    each: int = 3,
) -> tuple[WordScores, ...]:
    """The examples on which fine-tuning gained most, those in the middle, and where it lost most.

    Args:
        models: The baseline, then the others; the mean over these counts.
        instances: Those to choose from: all of the table's, of the task.
        scores: The table, with theirs.
        task: The task of all of them; "": they are of any.
        same_tokenizer: Whether nats a token mean the same under both; else bits a byte count.
        each: Examples of each kind.
    """
    rows = {name: rows_of(scores, name, task) for name in models}
    before, *after = rows.values()
    gains, n_bytes = np.zeros(len(instances)), before["n_bytes"]
    change = np.mean([some["nats"] for some in after], axis=0) - before["nats"]
    np.divide(change, n_bytes, out=gains, where=n_bytes > 0)
    order = np.argsort(gains, kind="stable").tolist()
    n = len(order)
    each = min(each, max(n // 3, 1))
    middle = (n - each) // 2
    # Of two examples none is in the middle; of one, it is.
    chosen = [("best", place) for place in order[:each] if n > 1]
    chosen += [("median", place) for place in order[middle : middle + each] if n != 2]
    chosen += [("worst", place) for place in order[n - each :] if n > 1]
    losses = {name: instance_losses(some, same_tokenizer) for name, some in rows.items()}
    return tuple(
        WordScores(
            kind,  # type: ignore[arg-type]
            instances[place].pair.task,
            instances[place].title,
            text_of(instances[place].pair.prompt),
            {name: float(loss[place]) for name, loss in losses.items()},
            {
                name: word_nats(
                    model.model, model.tokenizer, instances[place], instances[place].examples[name]
                )
                for name, model in models.items()
            },
        )
        for kind, place in chosen
    )
