"""Damages the cache and fills the disk, and tells what was said and what happened, as two tables.

    python benchmarks/damage.py --json runs/bench/damage.json

Commands are the real ones, in this process, on a slice of the embedded sample. A damaged file is
mended where one line names it, the report is that of the undisturbed run, and the file is equal
again, byte by byte. A disk is full at each size that a file of the command has, less one byte, in
turn: survived is an end with exit code 2 and one line, no file cut and none left over, after which
the same command ends as if nothing had happened.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import resource
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import yaml
from safetensors import safe_open

from careergpt.cli import main as careergpt
from careergpt.data import prepare
from careergpt.data.whole_files import SEAL, find_damage

ROOT = Path(__file__).parents[1]
NOBODY = 65534

# Of a file and a number drawn for each try: what is left of it.
KINDS: dict[str, Callable[[bytes, int], bytes]] = {
    "empty": lambda whole, drawn: b"",
    "cut": lambda whole, drawn: whole[: drawn % len(whole)],
    "a bit flipped": lambda whole, drawn: _flipped(whole, drawn % (8 * len(whole))),
    "bytes at its end": lambda whole, drawn: whole + b"\0" * (1 + drawn % 100),
    "without its digest": lambda whole, drawn: whole[:-SEAL],
}


class Ended(NamedTuple):
    """How a command ended."""

    code: Any
    out: str
    error: str


class Row(NamedTuple):
    """What became of one kind of damage, or of one command on full disks."""

    what: str
    how: str
    tries: int
    survived: int
    said: str


def main() -> None:
    """Prints both tables as Markdown; exits with 1 where something was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Two tries of a kind; audit alone.")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.chdir(ROOT)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        table = _table(folder)
        for title, found in (
            ("cache", _caches(folder, table, 2 if args.quick else 20)),
            ("full disk", _disks(folder, table, args.quick)),
        ):
            print(f"\n| {title} | how | tries | survived | said |\n|---|---|--:|--:|---|")
            for row in found:
                said = row.said.replace(f"{folder}/", "")
                rows.append(row._replace(said=re.sub(r"-[0-9a-f]{16}\b", "-KEY", said)))
                print("| " + " | ".join(map(str, rows[-1])) + " |", flush=True)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps([row._asdict() for row in rows], indent=1))
    sys.exit(any(row.survived < row.tries for row in rows))


def _table(folder: Path) -> Path:
    """A slice of the sample: 120 postings."""
    with (ROOT / "data" / "postings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.reader(file), 121))
    path = folder / "postings.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def _audit(table: Path, cache: Path) -> list[str]:
    options = (f"source={table}", f"cache={cache}", "tokenizer=data/tokenizer", "processes=1")
    return ["audit", *(f"--data.{option}" for option in options)]


def _run(words: list[str]) -> Ended:
    """Runs a command here, where its libraries are loaded."""
    out, error, code = StringIO(), StringIO(), 0
    with redirect_stdout(out), redirect_stderr(error):
        try:
            careergpt(words)
        except SystemExit as left:
            code = left.code
        except BaseException:
            traceback.print_exc()
            code = 1
    return Ended(code, out.getvalue(), error.getvalue())


def _caches(folder: Path, table: Path, tries: int) -> Iterator[Row]:
    cache, chance = folder / "cache", random.Random(0)
    words = _audit(table, cache)
    peace = _run(words)
    for name in ("records", "tokens"):
        (path,) = cache.glob(f"{name}-*")
        whole = path.read_bytes()
        for kind, harm in KINDS.items():
            times = 1 if kind in ("empty", "without its digest") else tries
            survived, told = 0, ""
            for _ in range(times):
                path.write_bytes(harm(whole, chance.getrandbits(60)))
                ended = _run(words)
                told, _, report = ended.out.partition("\n")
                named = told.startswith(f"{path} is damaged (")
                survived += named and report == peace.out and path.read_bytes() == whole
            yield Row(f"{name}-KEY.arrow", kind, times, survived, told or ended.error)
    yield _growing(table, folder / "grown")
    yield from _read_only(words, cache, peace)


def _growing(table: Path, cache: Path) -> Row:
    """More rows come while the table is read: neither number of rows is kept under the other's."""
    short, build = table.read_bytes(), prepare.build_records

    def grows(*asked: Any) -> None:
        table.write_bytes(short + short.splitlines(keepends=True)[-1])
        build(*asked)

    with mock.patch.object(prepare, "build_records", grows):
        first = _run(_audit(table, cache))
    counts = []
    for content in (table.read_bytes(), short):
        table.write_bytes(content)
        counts.append(_run(_audit(table, cache)).out.splitlines()[0].split()[-1])
    survived = int(first.code == 2 and counts == ["121", "120"])
    return Row("a table", "grows while it is read", 1, survived, first.error.strip())


def _read_only(words: list[str], cache: Path, peace: Ended) -> Iterator[Row]:
    """As another user, for root may write anywhere."""
    for path in (cache, *cache.iterdir()):
        path.chmod(0o555)
    (tokens,) = cache.glob("tokens-*")
    for how in ("complete, read-only", "read-only, a bit flipped"):
        if how != "complete, read-only":
            tokens.chmod(0o755)
            tokens.write_bytes(_flipped(tokens.read_bytes(), 9999))
        root = os.geteuid() == 0
        if root:
            os.setresuid(NOBODY, NOBODY, 0)
        ended = _run(words)
        if root:
            os.setresuid(0, 0, 0)
        refused = ended.code == 2 and ended.error.count("\n") == 1
        survived = ended.out == peace.out if how == "complete, read-only" else refused
        yield Row("cache", how, 1, int(survived), ended.error.strip())
    cache.chmod(0o755)


def _disks(folder: Path, table: Path, quick: bool) -> Iterator[Row]:
    data = [f"--data.source={table}", f"--data.cache={folder / 'shared'}", "--data.processes=1"]
    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 128, "vocabulary": 300}
    fit = [
        *(f"--model.scratch.{name}={size}" for name, size in sizes.items()), *data,
        "--trainer.max_epochs=1", "--data.batch_tokens=1024", "--samples.max_new_tokens=4",
        "--trainer.logger=false", "--trainer.accelerator=cpu", "--titles.limit=20",
        "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
    ]  # fmt: skip
    quiet = [word for word in fit if word.startswith(("--trainer.acc", "--trainer.ena"))]
    model = f"--model.pretrained={folder / 'fit' / 'model'}"
    models = [
        f"--baseline={folder / 'fit' / 'baseline'}",
        f"--finetuned={folder / 'fit' / 'model'}",
    ]
    commands: dict[str, Callable[[Path], list[str]]] = {
        "audit": lambda out: [*_audit(table, out / "cache"), f"--out={out / 'report'}"],
        "fit": lambda out: ["fit", *fit, f"--trainer.default_root_dir={out}"],
        "predict": lambda out: ["predict", model, *data, *quiet, f"--out={out / 'answers.jsonl'}"],
        "test": lambda out: ["test", model, *data, *quiet, f"--json={out / 'test.json'}"],
        "compare": lambda out: [
            "compare", *models, *data, "--answers=2", "--decoding.max_new_tokens=2",
            "--device=cpu", f"--out={out}",
        ],
    }  # fmt: skip
    for verb in ["audit"] if quick else commands:
        yield _full(verb, commands[verb], folder)


def _full(verb: str, words: Callable[[Path], list[str]], folder: Path) -> Row:
    peace = folder / verb
    peace.mkdir()
    if (ended := _run(words(peace))).code:
        sys.exit(f"{verb} ends with {ended.code}: {ended.error}")
    names = set(_files(peace))
    limits = sorted({size - 1 for name in names if (size := (peace / name).stat().st_size)})
    survived, said = 0, ""
    for limit in limits:
        out = folder / f"{verb} {limit}"
        out.mkdir()
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        full = _run(words(out))
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        lines = [line for line in full.error.splitlines() if line.startswith("error: ")]
        cut = _cut(out)
        held = full.code == 2 and len(lines) == 1 and not cut
        again = words(out)
        if (out / "config.yaml").exists():
            again += ["--ckpt_path=last"]
        ended = _run(again)
        if held and ended.code == 0 and set(_files(out)) == names:
            survived += 1
            said = said or lines[0]
        else:
            print(verb, limit, full.code, cut, full.error, ended.code, ended.error, file=sys.stderr)
    return Row(verb, f"{len(limits)} sizes of its {len(names)} files", len(limits), survived, said)


def _files(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]


def _cut(folder: Path) -> list[str]:
    """Files that are not whole, or left over; logs are added to, and cut when resumed."""
    return [name for name in _files(folder) if not _is_whole(folder / name)]


def _is_whole(path: Path) -> bool:
    try:
        match path.suffix:
            case ".json":
                json.loads(path.read_text(encoding="utf-8"))
            case ".yaml":
                yaml.safe_load(path.read_text(encoding="utf-8"))
            case ".safetensors":
                safe_open(path, framework="pt")
            case ".arrow" | ".ckpt":
                return find_damage(path) is None
            case ".partial":
                return ".rank" in path.name  # What predict keeps, and goes on from.
    except Exception:
        return False
    return True


def _flipped(whole: bytes, bit: int) -> bytes:
    harmed = bytearray(whole)
    harmed[bit // 8] ^= 1 << bit % 8
    return bytes(harmed)


if __name__ == "__main__":
    main()
