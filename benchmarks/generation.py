"""How fast are answers written? Ours beside transformers' `generate`, taking turns in one run.

    python benchmarks/generation.py [--quick] [--device cuda] [--model FOLDER] [--json FILE]

32 prompts of 8 to 24 tokens, 128 new tokens each, nothing ends a text early but where a row says
so. Random weights serve as well as trained ones: a step takes as long. Both have the same weights;
the greedy texts are compared token for token.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from machine import describe, sentence
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    PreTrainedModel,
    StoppingCriteria,
    StoppingCriteriaList,
)

from careergpt.data.prompts import Prompt
from careergpt.data.whole_files import write_json
from careergpt.generation.cache import attention_to_cache
from careergpt.generation.decoding import write
from careergpt.generation.sampling import Decoding
from careergpt.modeling.folder import build_model

PROMPTS, NEW = 32, 128
GREEDY = Decoding(greedy=True, max_new_tokens=NEW, repetition_penalty=1.0)
SAMPLED = Decoding(max_new_tokens=NEW)

Texts = list[list[int]]


class Row(NamedTuple):
    """A way to write: its median rate, slowest and fastest round, our rate over transformers'."""

    name: str
    tokens_per_s: float
    spread: tuple[float, float]
    ratio: float


class Full(StoppingCriteria):
    """Ends each row where its room is full, so that `generate` goes on until the longest is."""

    def __init__(self, rooms: Sequence[int], width: int, device: str) -> None:
        self._rooms, self._width = torch.tensor(rooms, device=device), width

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        """Which rows are full."""
        return self._rooms <= input_ids.shape[1] - self._width


def models(
    source: str | None, device: str, tiny: bool = False
) -> tuple[PreTrainedModel, PreTrainedModel]:
    """Transformers' model as it comes, and ours with the same weights."""
    torch.manual_seed(0)
    if source:
        theirs = AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, trust_remote_code=False
        )
    else:
        sizes = {"n_layer": 2, "n_head": 2, "n_embd": 32} if tiny else {}
        theirs = AutoModelForCausalLM.from_config(GPT2Config(**sizes), trust_remote_code=False)
    ours = build_model(deepcopy(theirs.config), None)
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval().to(device), ours.eval().to(device)


def draw_prompts(vocabulary: int) -> list[Prompt]:
    """Prompts of 8 to 24 random tokens."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(8, 25, PROMPTS)
    return [
        Prompt(place, "", "", tuple(rng.integers(0, vocabulary, length).tolist()))
        for place, length in enumerate(lengths)
    ]


def draw_rooms() -> list[int]:
    """Lengths of answers, log-normal with median 40, the longest as long as may be."""
    drawn = np.random.default_rng(1).lognormal(np.log(40), 0.7, PROMPTS).astype(int)
    return [*np.clip(drawn, 1, NEW).tolist()[1:], NEW]


def transformers_s(
    model: PreTrainedModel, prompts: Sequence[Prompt], decoding: Decoding, rooms: Sequence[int]
) -> Texts:
    """What `generate` writes with its default cache."""
    width = max(len(prompt.token_ids) for prompt in prompts)
    gaps = [width - len(prompt.token_ids) for prompt in prompts]
    padded = [[0] * gap + list(p.token_ids) for gap, p in zip(gaps, prompts, strict=True)]
    mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
    sampling = {"temperature": decoding.temperature, "top_p": decoding.top_p, "top_k": 0}
    ids = model.generate(  # type: ignore[operator]
        torch.tensor(padded, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        max_new_tokens=decoding.max_new_tokens,
        do_sample=not decoding.greedy,
        repetition_penalty=decoding.repetition_penalty,
        eos_token_id=None,
        pad_token_id=0,
        stopping_criteria=StoppingCriteriaList([Full(rooms, width, str(model.device))]),
        **({} if decoding.greedy else sampling),
    )
    return [row[:room] for row, room in zip(ids[:, width:].tolist(), rooms, strict=True)]


def ours_s(
    model: PreTrainedModel, prompts: Sequence[Prompt], decoding: Decoding, rooms: Sequence[int]
) -> Texts:
    """What our loop writes."""
    with attention_to_cache(model):
        return [ids for ids, _ in write(model, prompts, decoding, rooms, None)]


def take_turns(
    ways: dict[tuple[str, str], Callable[[], Texts]], rounds: int
) -> dict[tuple[str, str], list[float]]:
    """Tokens a second of each way in each round; the first round warms up."""
    rates: dict[tuple[str, str], list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            texts = way()  # Lists of numbers: a GPU's work is done when they are there.
            rates[name].append(sum(map(len, texts)) / (time.perf_counter() - started))
    return {name: rate[1:] for name, rate in rates.items()}


def compare(name: str, theirs: Sequence[float], ours: Sequence[float]) -> list[Row]:
    """Two rows, the ratio being that of the medians."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    return [
        Row(f"{who}, {name}", statistics.median(rates), (min(rates), max(rates)), over)
        for who, rates, over in (("transformers", theirs, 1.0), ("careergpt", ours, ratio))
    ]


def main() -> None:
    """Measures, checks that the greedy texts are equal, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 rounds in place of 5")
    parser.add_argument("--tiny", action="store_true", help="a model of 2 layers: tries the script")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default=None, help="default: GPT-2 124 M, random weights")
    parser.add_argument("--json", default=None)
    args = parser.parse_args()
    theirs, ours = models(args.model, args.device, args.tiny)
    prompts, whole = draw_prompts(theirs.config.vocab_size), [NEW] * PROMPTS
    settings = {
        "greedy": (GREEDY, whole),
        "sampled (temperature 0.9, top-p 0.95, penalty 1.1)": (SAMPLED, whole),
        "greedy, answers of unequal length": (GREEDY, draw_rooms()),
    }
    ways: dict[tuple[str, str], Callable[[], Texts]] = {}
    for name, (decoding, rooms) in settings.items():
        ways["theirs", name] = lambda d=decoding, r=rooms: transformers_s(theirs, prompts, d, r)
        ways["ours", name] = lambda d=decoding, r=rooms: ours_s(ours, prompts, d, r)
    for name, (decoding, _) in settings.items():
        if decoding.greedy and ways["theirs", name]() != ways["ours", name]():
            raise SystemExit(f"{name}: the texts differ")
    rates = take_turns(ways, rounds=3 if args.quick else 5)
    rows = [
        row
        for name in settings
        for row in compare(name, rates["theirs", name], rates["ours", name])
    ]
    print(f"{PROMPTS} prompts, at most {NEW} new tokens, fp32, {args.device}; {sentence()}\n")
    print("| | tokens/s | slowest to fastest | ratio |\n|---|---:|---:|---:|")
    for row in rows:
        low, high = row.spread
        print(
            f"| {row.name} | {row.tokens_per_s:.0f} | {low:.0f} to {high:.0f} | {row.ratio:.2f} |"
        )
    if args.json:
        machine = describe()
        versions = {"torch": torch.__version__, "transformers": machine["transformers"]}
        found = [row._asdict() for row in rows]
        write_json(Path(args.json), {"rows": found, "machine": machine, "versions": versions})


if __name__ == "__main__":
    main()
