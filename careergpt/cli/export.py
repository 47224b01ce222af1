"""The verb export: a model folder in, the same model for another runtime out, and tried."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from careergpt.cli.parsing import OneLineParser
from careergpt.data.prompts import Prompt
from careergpt.data.tasks import Fields, PromptCompletion, fields_of, prompt_completion
from careergpt.data.tokens import Example, encode, token_digests
from careergpt.data.whole_files import check_new_folder, whole_files
from careergpt.errors import InputError, extra, system_fault
from careergpt.generation.decoding import generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.export import FORMATS, Logits, Runtime, logits_of
from careergpt.modeling.folder import read_settings
from careergpt.modeling.loaded import LoadedModel, find_model
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


def run(args: Sequence[str]) -> Agreement:
    """Parses and runs `export`: a new folder, or nothing."""
    parser = OneLineParser(verb="export")
    parser.add_argument("--model.pretrained", type=str, required=True, help="A model's folder.")
    kinds = Literal[tuple(FORMATS)]  # type: ignore[valid-type]
    parser.add_argument("--format", type=kinds, required=True, help="Of what is written.")
    parser.add_argument("--out", type=str, required=True, help="The folder to make.")
    parser.add_options({"limit": (3, "Titles that are asked about, by each task, in both.")})
    config = parser.parse_args(list(args))
    name, out, form = config.model.pretrained, Path(config.out), FORMATS[config.format]
    if config.limit < 1:
        raise InputError(f"--limit must be 1 or more, found {config.limit}")
    check_new_folder(out, "--out")
    with extra("export", f"--format {config.format}"):
        for package in form.packages:
            import_module(package)
    model = find_model(name).load(torch.device("cpu"))
    pairs = list(_pairs(model, read_settings(name), config.limit))
    with whole_files(out) as partial:
        try:
            form.write(model, partial)
            found = agreement(model, form.load(model, partial), pairs)
        except Exception as error:  # Whatever a converter raises of what it does not know.
            if isinstance(error, InputError) or system_fault(error, out):
                raise
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(
                f"{name} cannot be exported as {config.format} ({reason}): give another --format"
            ) from None
    alike = found.answers - found.equal
    print(
        f"{out}: asked the model's questions ({found.answers}), it answers greedily as the model "
        + (f"does ({alike} times by tokens as likely)" if alike else "does")
        + f"; nats of these answers and of candidates differ by {found.nats:.1g} at most, any "
        f"log-probability by {found.gap:.1g} ({TOLERANCE:g} is allowed)."
    )
    return found


def _pairs(
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
