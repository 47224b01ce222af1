"""How long does one recommendation take? By stage, in a fresh process, and of each further person.

    python benchmarks/recommend.py --model RUN/model [--json FILE]

CPU seconds of a process on one thread. Beside them the naive way: the score of every title by a
plain forward pass of transformers over prompt and title, timed on a sample and scaled up.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLE = 20
PEOPLE = (
    {"position": 0, "skills": (3, 7, 11)},
    {"position": 5, "skills": (1, 2)},
    {"position": 9, "skills": (20, 4, 8)},
    {"position": 14, "skills": (6,)},
)
"""Places of titles and skills in the folder's lists."""

WORKER = "--worker"


def timed(stages: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """What the work gives; its CPU seconds are added to the stage."""
    started = time.process_time()
    found = work()
    stages[name] = stages.get(name, 0.0) + time.process_time() - started
    return found


def work(folder: str) -> None:
    """One process: a first person by stage, then the others whole; and the naive way."""
    from careergpt.cli import recommend as verb  # noqa: F401 (what the command imports)
    from careergpt.recommend.explanation import Explanation
    from careergpt.recommend.people import Person
    from careergpt.recommend.predictor import Predictor
    from careergpt.recommend.recommender import Recommender

    stages = {"imports": time.process_time()}
    found = timed(stages, "load", lambda: Recommender.load(folder, device="cpu"))
    titles, skills = found.predictor.titles.names, found.predictor.skills.names
    people = [
        Person(
            titles[one["position"] % len(titles)],
            tuple(skills[place % len(skills)] for place in one["skills"]) if skills else (),
            (),
        )
        for one in PEOPLE
    ]
    first, *others = people

    def wrap(kind: type, name: str, stage: str) -> None:
        plain = getattr(kind, name)
        setattr(kind, name, lambda *a, **k: timed(stages, stage, lambda: plain(*a, **k)))

    wrap(Explanation, "leave_one_out", "explanations")
    wrap(Explanation, "add_one_in", "explanations")
    wrap(Predictor, "skills_of", "skills")
    wrap(Recommender, "qualifications", "qualifications")
    before = sum(stages.values())
    started = time.process_time()
    found.answer(found.read(first))
    whole = time.process_time() - started
    stages["positions"] = whole - (sum(stages.values()) - before)
    each = []
    for person in others:
        started = time.process_time()
        found.answer(found.read(person))
        each.append(time.process_time() - started)
    total = stages["imports"] + stages["load"] + whole
    print(json.dumps({"stages": stages, "seconds_first": total, "each": each,
                      "seconds_naive": naive(folder, first.position, titles),
                      "titles": len(titles)}))  # fmt: skip


def naive(folder: str, position: str, titles: tuple[str, ...]) -> float:
    """CPU seconds to score every title after one career, one forward pass a title."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    started = time.process_time()
    with torch.no_grad():
        for title in titles[:SAMPLE]:
            ids = tokenizer(f"Career path: {position} > {title}", return_tensors="pt").input_ids
            model(ids).logits.log_softmax(-1)
    return (time.process_time() - started) * len(titles) / len(titles[:SAMPLE])


def main() -> None:
    """Runs fresh processes and prints their medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", default=None)
    parser.add_argument(WORKER, action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work(args.model)
        return
    command = [sys.executable, __file__, "--model", args.model, WORKER]
    root = str(Path(__file__).parents[1])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root, "HF_HUB_OFFLINE": "1"}
    runs = [
        json.loads(subprocess.run(command, env=env, check=True, stdout=-1).stdout.splitlines()[-1])
        for _ in range(args.rounds)
    ]
    stages = {n: statistics.median(run["stages"].get(n, 0.0) for run in runs)
              for n in runs[0]["stages"]}  # fmt: skip
    result = {
        "titles": runs[0]["titles"],
        "stages": stages,
        "seconds_first": statistics.median(run["seconds_first"] for run in runs),
        "seconds_each": statistics.median(x for run in runs for x in run["each"]),
        "seconds_naive": statistics.median(run["seconds_naive"] for run in runs),
    }
    print(f"{result['titles']:,} titles, CPU seconds, medians of {args.rounds} processes\n")
    for name, seconds in stages.items():
        print(f"| {name} | {seconds:.2f} |")
    for name in ("seconds_first", "seconds_each", "seconds_naive"):
        print(f"| {name.removeprefix('seconds_')} | {result[name]:.2f} |")
    if args.json:
        Path(args.json).write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
