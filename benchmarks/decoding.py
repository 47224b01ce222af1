"""Which decoding settings write most like people? Repetition and diversity beside real texts.

    python benchmarks/decoding.py --model runs/demo-…/model --source data [--json FILE]

For each setting the model answers the prompts of unseen records. rep-4 (share of repeated 4-grams
within a text), distinct-2 (distinct bigrams over all bigrams of all texts), length and the share of
answers that end by themselves are set beside the same numbers of the real descriptions; the nearest
setting is the one whose numbers differ least, each in units of the real ones.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from careergpt.data.datamodule import CareerDataModule
from careergpt.data.prompts import Prompt
from careergpt.data.splits import TEST
from careergpt.data.whole_files import write_json
from careergpt.generation.decoding import distinct, generate, repetition
from careergpt.generation.sampling import Decoding
from careergpt.training.module import CareerModule


class Measures(NamedTuple):
    """How a set of texts repeats itself, varies and ends."""

    rep_4: float
    distinct_2: float
    tokens: float
    ended: float


def measure(texts: Sequence[Sequence[int]], ended: float) -> Measures:
    """The measures of texts as token ids."""
    return Measures(
        sum(map(repetition, texts)) / len(texts),
        distinct(texts, 2),
        sum(map(len, texts)) / len(texts),
        ended,
    )


def distance(found: Measures, real: Measures) -> float:
    """Mean relative difference; repetition, which is near 0 in real texts, counts as it is."""
    parts = [
        abs(found.rep_4 - real.rep_4),
        abs(found.distinct_2 / real.distinct_2 - 1),
        abs(found.tokens / real.tokens - 1),
        abs(found.ended - real.ended),
    ]
    return sum(parts) / len(parts)


def settings(most: int) -> list[Decoding]:
    """Greedy search, and sampling over a grid."""
    grid = itertools.product((0.6, 0.7, 0.8, 0.9, 1.0), (0.9, 0.95, 1.0), (1.0, 1.1))
    return [Decoding(max_new_tokens=most, greedy=True)] + [
        Decoding(max_new_tokens=most, temperature=heat, top_p=mass, repetition_penalty=penalty)
        for heat, mass, penalty in grid
    ]


def name_of(decoding: Decoding) -> str:
    """What the table calls a setting."""
    if decoding.greedy:
        return "greedy"
    penalty = decoding.repetition_penalty
    return f"temperature {decoding.temperature}, top-p {decoding.top_p}, penalty {penalty}"


def main() -> None:
    """Measures every setting and prints the table, nearest first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--records", type=int, default=64)
    parser.add_argument("--max-new-tokens", type=int, default=320)
    parser.add_argument("--json", default=None)
    args = parser.parse_args()
    module = CareerModule(pretrained=args.model)
    module.configure_model()
    data = CareerDataModule(args.source, tokenizer=args.model, context=module.context).open()
    members = [i for i in data.members(TEST).tolist() if data.store.task[i] == 0][: args.records]
    examples = [(data.store.token_ids(i).tolist(), int(data.store.n_prompt[i])) for i in members]
    prompts = [
        Prompt(place, "", "", tuple(ids[:start])) for place, (ids, start) in enumerate(examples)
    ]
    most = min(args.max_new_tokens, module.context - max(start for _, start in examples))
    real = [ids[start:][:most] for ids, start in examples]
    ends = sum(len(ids) - start <= most for ids, start in examples) / len(examples)
    rows = {"real descriptions": measure(real, ends)}
    for decoding in settings(most):
        answers = generate(module.model, module.tokenizer, prompts, decoding, module.context)
        texts = [answer.token_ids for answer in answers]
        ended = sum(answer.finish_reason == "end" for answer in answers) / len(answers)
        rows[name_of(decoding)] = measure(texts, ended)
    reference = rows["real descriptions"]
    ordered = sorted(rows, key=lambda name: distance(rows[name], reference))
    print(f"{len(members)} prompts, at most {most} tokens")
    print(
        "| decoding | rep-4 | distinct-2 | tokens | ended | distance |\n|---|---|---|---|---|---|"
    )
    for name in ordered:
        row = rows[name]
        print(
            f"| {name} | {row.rep_4:.3f} | {row.distinct_2:.3f} | {row.tokens:.0f} "
            f"| {row.ended:.2f} | {distance(row, reference):.3f} |"
        )
    if args.json:
        write_json(Path(args.json), {name: rows[name]._asdict() for name in ordered})


if __name__ == "__main__":
    main()
