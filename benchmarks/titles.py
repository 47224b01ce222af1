"""How well titles are taken for occupations, and counts alone rank, on rows held out.

    python main.py tables onet DIR --out onet.jsonl
    python benchmarks/titles.py onet.jsonl careers.jsonl

Of a taxonomy's other titles some are taken away and matched anew; of some of its occupations it is
asked what their people change to, without any of these changes in training. Of each table a part of
the careers is held out, and a part of the lists of skills; the count models are made of the rest of
all tables together, and asked for the last moves, and for the lists' positions.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from careergpt.data.names import title_key
from careergpt.data.tasks import DEFAULT_TASKS
from careergpt.recommend.candidates import Candidates, items_in
from careergpt.recommend.count_models import COUNT_MODELS
from careergpt.recommend.evaluation import Query, metrics_of, outcome_of, queries_of, without
from careergpt.recommend.occupations import Match, Occupations
from careergpt.recommend.peers import strong_peers

Rows = list[dict[str, Any]]

CONFIDENCES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.01)


def rows_of_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows, as records have them: lists are tuples."""
    for line in path.read_text().splitlines():
        row = json.loads(line).items()
        yield {name: tuple(cell) if isinstance(cell, list) else cell for name, cell in row}


def matched(taxonomy: Occupations, number: int, seed: int) -> list[tuple[Match | None, str]]:
    """Other titles of one occupation alone, held out: what each is taken for, and its occupation.

    Titles that are another's level are found by their spelling, and are not asked.
    """
    bearers = Counter(title_key(t) for titles in taxonomy.titles.values() for t in titles)
    pairs = [
        (t, o) for o, some in taxonomy.titles.items() for t in some if bearers[title_key(t)] == 1
    ]
    held = random.Random(seed).sample(pairs, min(number, len(pairs)))
    out = {title for title, _ in held}
    left = {o: [t for t in titles if t not in out] for o, titles in taxonomy.titles.items()}
    rest = Occupations(left)
    return [(rest.match(title), occupation) for title, occupation in held]


def of_confidence(found: Sequence[tuple[Match | None, str]]) -> None:
    """Prints the share that is right, by the confidence of the match."""
    answered = [(match, right) for match, right in found if match is not None]
    right = sum(match.occupation == truth for match, truth in answered)
    print(f"{len(found)} titles held out: {right / len(found):.0%} right")
    for low, high in pairwise(CONFIDENCES):
        some = [m.occupation == truth for m, truth in answered if low <= m.confidence < high]
        if some:
            print(f"  confidence {low:.1f} to {min(high, 1):.1f}: {sum(some)} of {len(some)}")


def held_out(task: str, tables: Mapping[str, Rows], held: float, most: int, seed: int) -> None:
    """Prints how each count model ranks each table's rows of the task that are held out."""
    chance = random.Random(seed)
    train: Rows = []
    unseen: dict[str, list[Query]] = {}
    for name, rows in tables.items():
        those = [row for row in rows if next(queries_of(task, DEFAULT_TASKS[task], [row]), None)]
        chance.shuffle(those)
        cut = round(len(those) * held)
        asked = queries_of(task, DEFAULT_TASKS[task], those[:cut])
        unseen[name] = [query for query in asked if query.changes or task != "path"]
        out = set(map(id, those[:cut]))
        train += [row for row in rows if id(row) not in out]
    ranked(task, train, unseen, most)


def related(name: str, rows: Rows, number: int, seed: int) -> None:
    """Prints how each ranks changes from occupations of whose people training knows none."""
    careers = [items_in(row, "titles") for row in rows if items_in(row, "titles")]
    first = sorted({career[0] for career in careers})
    held = set(random.Random(seed).sample(first, min(number, len(first) // 2)))
    train = [{"titles": career} for career in careers if career[0] not in held]
    after = {
        head: tuple(dict.fromkeys(career[1] for career in careers if career[0] == head))
        for head in sorted(held)
    }
    queries = [Query({"titles": (head,)}, targets, head) for head, targets in after.items()]
    ranked("path", train, {f"{name}, occupations held out": queries}, len(queries))


def ranked(task: str, train: Rows, unseen: Mapping[str, list[Query]], most: int) -> None:
    """Makes the count models, and prints where they rank the targets of each set of queries."""
    titles = [(*items_in(row, "position_title"), *items_in(row, "titles")) for row in train]
    skills = Candidates.of((items_in(row, "skills") for row in train), 5)
    candidates = {"titles": Candidates.of(titles, 5), "skills": skills}
    place = candidates["titles"].place
    print(f"{len(candidates['titles']):,} candidates, {len(train):,} rows of training")
    models = {n: model.fit(task, candidates, train) for n, model in COUNT_MODELS[task].items()}
    models |= strong_peers(models)
    for name, queries in unseen.items():
        asked = [query for query in queries if any(place(t) is not None for t in query.targets)]
        if asked := asked[:most]:
            print(f"{name}: {len(asked)} queries of {task} whose answer is a candidate")
        for peer, model in models.items() if asked else ():
            found = metrics_of(
                outcome_of(
                    without(model.log_probabilities([query.known])[0], [place(str(query.current))]),
                    [place(target) for target in query.targets],
                )
                for query in asked
            )
            print(
                f"  {peer:12} MRR {found.mrr:.3f}  recall@10 {found.recall_at_10:.3f}"
                f"  nats {found.loss:.2f}"
            )


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", type=Path, help="JSON lines of a row each")
    parser.add_argument("--titles", type=int, default=250, help="other titles that are held out")
    parser.add_argument("--occupations", type=int, default=60, help="of which no move is known")
    parser.add_argument(
        "--held", type=float, default=0.15, help="share of careers and lists held out"
    )
    parser.add_argument(
        "--most", type=int, default=500, help="moves and lists of a table that are asked"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tables = {path.stem: list(rows_of_lines(path)) for path in args.tables}
    for name, rows in tables.items():
        taxonomy = Occupations.of(rows)
        if any(taxonomy.titles.values()):
            print(f"{name}: {len(taxonomy.names):,} occupations")
            of_confidence(matched(taxonomy, args.titles, args.seed))
            related(name, rows, args.occupations, args.seed)
    for task in ("path", "position"):
        held_out(task, tables, args.held, args.most, args.seed)


if __name__ == "__main__":
    main()
