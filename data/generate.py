"""Write the embedded sample: postings.csv, careers.jsonl and, on request, the tokenizer.

Everything is drawn from positions.yaml and phrases.yaml with one seeded generator, so the same
command always writes the same bytes: `python data/generate.py [--tokenizer]`.
"""

import argparse
import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path

import yaml
from describe import Phrases, Position, describe, draw

HERE = Path(__file__).resolve().parent
COLUMNS = ("company_name", "position_title", "job_description", "skills")
WORDS = range(80, 161)
VARIANT_SHARE = 0.15
NOISE = 0.1
VOCABULARY = 2048
PROMPTS = (
    "Tell me about the qualifications required for a {position_title}.",
    "Which position suits someone skilled in {skills}?",
    "Which skills does a {position_title} need?",
    "Career path: {titles}",
)


def load_positions(path: Path = HERE / "positions.yaml") -> dict[str, Position]:
    """Map each canonical title to its position, with its employers and its step added."""
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    positions = {
        title: {"employers": field["employers"], "step": step, **position}
        for field in fields.values()
        for step, (title, position) in enumerate(field["positions"].items(), start=1)
    }
    for title, position in positions.items():
        if unknown := position["next"].keys() - positions.keys():
            raise ValueError(f"{title} moves to unknown positions: {sorted(unknown)}")
    return positions


def load_phrases(path: Path = HERE / "phrases.yaml") -> Phrases:
    """Read the wording shared by all positions."""
    phrases: Phrases = yaml.safe_load(path.read_text(encoding="utf-8"))
    return phrases


def posting(rng: random.Random, title: str, position: Position, phrases: Phrases) -> dict[str, str]:
    """Draw one posting of a position, its description again and again until the length fits."""
    posted = rng.choice(position["variants"]) if rng.random() < VARIANT_SHARE else title
    name = rng.choice(phrases["company_start"]) + rng.choice(phrases["company_end"])
    company = f"{name} {rng.choice(position['employers'])}"
    text = ""
    while len(text.split()) not in WORDS:
        text = describe(rng, posted, company, position, phrases)
    skills = "|".join(draw(rng, position["skills"], 4, 8))
    return dict(zip(COLUMNS, (company, posted, text, skills), strict=True))


def postings(rng: random.Random, positions: dict[str, Position], n: int) -> list[dict[str, str]]:
    """Draw n postings, as evenly over the positions as n allows, in random order."""
    phrases = load_phrases()
    titles = [list(positions)[index % len(positions)] for index in range(n)]
    rows = [posting(rng, title, positions[title], phrases) for title in titles]
    rng.shuffle(rows)
    return rows


def career(rng: random.Random, positions: dict[str, Position]) -> list[str]:
    """Walk the graph of moves from oldest to newest title, with noise; no title comes twice."""
    # Most careers begin low in a field, where positions are listed from junior to senior.
    titles = rng.choices(list(positions), [1 / p["step"] for p in positions.values()])
    for _ in range(rng.randint(2, 5)):
        moves = {t: w for t, w in positions[titles[-1]]["next"].items() if t not in titles}
        if not moves:
            break
        if rng.random() < NOISE:
            titles.append(rng.choice([title for title in positions if title not in titles]))
        else:
            titles.append(rng.choices(list(moves), list(moves.values()))[0])
    return titles


def careers(rng: random.Random, positions: dict[str, Position], n: int) -> list[list[str]]:
    """Draw n careers of at least two titles."""
    paths: list[list[str]] = []
    while len(paths) < n:
        if len(path := career(rng, positions)) > 1:
            paths.append(path)
    return paths


def write_sample(out: Path, seed: int, n_postings: int, n_careers: int) -> None:
    """Write postings.csv and careers.jsonl into a folder."""
    positions = load_positions()
    out.mkdir(parents=True, exist_ok=True)
    with (out / "postings.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(postings(random.Random(seed), positions, n_postings))
    # A generator of its own keeps the careers the same when the postings change.
    paths = careers(random.Random(seed + 1), positions, n_careers)
    lines = [json.dumps({"titles": path}) + "\n" for path in paths]
    (out / "careers.jsonl").write_text("".join(lines), encoding="utf-8", newline="\n")


def training_texts(folder: Path) -> Iterator[str]:
    """Yield every kind of text the model will meet, prompts included."""
    with (folder / "postings.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            title, skills = row["position_title"], row["skills"].replace("|", ", ")
            yield from (row["job_description"], title, skills)
            yield from (p.format(position_title=title, skills=skills) for p in PROMPTS[:3])
    for line in (folder / "careers.jsonl").read_text(encoding="utf-8").splitlines():
        path = " > ".join(json.loads(line)["titles"])
        yield from (path, PROMPTS[3].format(titles=path))


def write_tokenizer(folder: Path) -> None:
    """Train a byte-level BPE tokenizer of GPT-2's kind on the sample in the folder."""
    from careergpt.data.tokens import train_tokenizer

    train_tokenizer(training_texts(folder), VOCABULARY, folder / "tokenizer")


def main() -> None:
    """Parse the options and write the sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--postings", type=int, default=1000, help="number of postings")
    parser.add_argument("--careers", type=int, default=500, help="number of careers")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--tokenizer", action="store_true", help="rebuild the tokenizer too")
    args = parser.parse_args()
    write_sample(args.out, args.seed, args.postings, args.careers)
    if args.tokenizer:
        write_tokenizer(args.out)


if __name__ == "__main__":
    main()
