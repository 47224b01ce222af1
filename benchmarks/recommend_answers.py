"""Writes what sixty people of ten fields are recommended, as a page to read.

python benchmarks/recommend_answers.py --model RUN/model > docs/recommend-answers.md
"""

from __future__ import annotations

import argparse
import json
from itertools import groupby
from pathlib import Path
from typing import Any

import careergpt
from careergpt.recommend.recommendation import Recommendation

PEOPLE = Path(__file__).with_name("people.jsonl")

SHOWN = 5


def told(person: dict[str, Any]) -> str:
    """The person in a line."""
    career = " > ".join([*person.get("history", ()), *filter(None, [person.get("position")])])
    return "; ".join(filter(None, [career, ", ".join(person.get("skills", ()))]))


def shown(found: Recommendation) -> str:
    """Positions and skills in a line each, and what is said of them."""
    lines = []
    if found.positions:
        some = [f"{one.title} {one.probability:.0%}" for one in found.positions[:SHOWN]]
        first = found.positions[0]
        why = ", ".join(effect.skill for effect in first.raised_by[:2] if effect.log_odds > 0)
        lines.append(f"next: {', '.join(some)}" + (f" (the first raised by {why})" if why else ""))
    if found.skills:
        names = [one.skill for one in found.skills[:SHOWN]]
        lines.append(f"skills as {found.skills_for}: {', '.join(names)}")
    lines += [f"*{note}*" for note in found.notes]
    return "".join(f"\n    - {line}" for line in lines)


def main() -> None:
    """Prints the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a model folder that fit wrote")
    parser.add_argument("--candidates", default=None, help="titles to rank in place of its own")
    args = parser.parse_args()
    options = {"device": "cpu", "candidates": args.candidates, "top": SHOWN, "explain": 1}
    model = careergpt.load(args.model, **options)
    people = [json.loads(line) for line in PEOPLE.read_text().splitlines()]
    print("# Sixty people of ten fields, and what they are recommended\n")
    for field, some in groupby(people, key=lambda person: person.pop("field")):
        print(f"## {field}\n")
        for person in some:
            print(f"- **{told(person)}**{shown(model.recommend(**person, qualifications=False))}")
        print()


if __name__ == "__main__":
    main()
