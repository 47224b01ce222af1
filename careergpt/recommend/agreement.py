"""Agreement of an exported model with its own: the same questions asked of both, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from careergpt.data.prompts import Prompt
from careergpt.data.tasks import Fields, PromptCompletion, fields_of, prompt_completion
from careergpt.data.tokens import Example, encode, token_digests
from careergpt.errors import InputError
from careergpt.generation.decoding import generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.export import Logits, Runtime, logits_of
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.rankings import Rankings, tasks_of

TOLERANCE = 1e-3
"""Nats by which a log-probability may differ. Sums of fp32 in another order were seen to differ by
7e-5 at most; weights rounded to fp16, or another GELU, by 4e-3 at least."""

_NEW_TOKENS = 16

# For a model whose folder names no candidates.
_TITLES = ("Data scientist", "Registered nurse", "Truck driver")
_SKILLS = ("sql", "first aid", "route planning")


class Agreement(NamedTuple):
    """How far an exported model says what the model says.

    Attributes:
        answers: Greedy answers that were compared.
        equal: Those of the same tokens; in others, tokens as likely took their place.
        nats: The largest difference of the nats of such an answer, or of a candidate.
        gap: The largest difference of a log-probability, of any token at any of their places.
    """

    answers: int
    equal: int
    nats: float
    gap: float


def questions(
    model: LoadedModel, settings: Mapping[str, Any], limit: int
) -> Iterator[PromptCompletion]:
    """The model's own questions about some titles and skills, each with a candidate as answer."""
    tasks = tasks_of(settings)
    known = Rankings.load(tasks, settings, Path(model.source), count_models=False).candidates
    lists = known["titles"].names or _TITLES, known["skills"].names or _SKILLS
    for place in range(min(limit, max(map(len, lists)))):  # Then all come again.
        titles, skills = (tuple(islice(cycle(names), place, place + 3)) for names in lists)
        fields: Fields = {"position_title": titles[0], "titles": titles, "skills": skills}
        for name, task in tasks.items():
            filled = {**dict.fromkeys(fields_of(task), ", ".join(skills)), **fields}
            if pair := prompt_completion(name, task, filled, model.form):
                yield pair


def agreement(model: LoadedModel, runtime: Runtime, pairs: Sequence[PromptCompletion]) -> Agreement:
    """Asks both the same.

    Raises:
        InputError: They differ by more than TOLERANCE, or in what a text's tokens are.
    """
    if token_digests(runtime.tokenizer) != token_digests(model.tokenizer):
        raise InputError("the exported tokenizer makes other tokens of a text: nothing is written")
    both = logits_of(model.model), runtime.logits
    found = []
    for example in encode(pairs, model.tokenizer, model.context):
        if isinstance(example, Example):
            ids, n = example.token_ids, example.n_prompt
            answer = _greedy_answer(model, runtime, ids[:n])
            found += [_differences(both, ids[:n], new) for new in (answer, ids[n:])]
    lags, nats, gaps = torch.tensor(found).unbind(1)
    lags = lags[::2]  # A candidate need not be the likeliest answer.
    worst = float(torch.cat([lags, gaps]).max())
    if not worst <= TOLERANCE:
        raise InputError(
            f"the exported model differs by {worst:.2g} nats, and {TOLERANCE:g} are allowed: "
            "nothing is written; give another --format"
        )
    return Agreement(len(lags), int((lags == 0).sum()), float(nats.max()), float(gaps.max()))


def _greedy_answer(model: LoadedModel, runtime: Runtime, prompt: list[int]) -> list[int]:
    """The runtime's; where it has no decoder the model's own, which must be the likeliest there."""
    most, end = min(_NEW_TOKENS, model.context - len(prompt)), model.tokenizer.eos_token_id
    if runtime.answer is None:
        greedy = Decoding(greedy=True, repetition_penalty=1.0, max_new_tokens=most)
        asked = [Prompt(0, "", "", tuple(prompt))]
        [own] = generate(model.model, model.tokenizer, asked, greedy, model.context)
        return list(own.token_ids)
    answer = runtime.answer(prompt, most)
    if len(answer) != min([*answer, end].index(end) + 1, most):
        raise InputError(f"the exported model ends its answer {answer} in the wrong place")
    return answer


def _differences(
    both: tuple[Logits, Logits], prompt: list[int], new: list[int]
) -> tuple[float, float, float]:
    """How far the new tokens are behind the likeliest, by either; of their nats; of all nats."""
    ours, theirs = (
        logits([*prompt, *new])[len(prompt) - 1 : -1].log_softmax(-1) for logits in both
    )
    places = torch.tensor(new)[:, None]
    own, other = ours.gather(1, places), theirs.gather(1, places)
    lag = torch.stack([ours.amax(-1) - own[:, 0], theirs.amax(-1) - other[:, 0]]).max()
    return float(lag), float((own - other).sum().abs()), float((ours - theirs).abs().max())
