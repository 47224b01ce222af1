"""Does the server hold? Many users for a minute: times, refusals, and memory at start and end.

    python benchmarks/serve.py --model RUN/model [--users 50] [--seconds 60] [--json FILE]

Each user asks, waits for the answer, and asks again at once. Half of the questions are new, drawn
from the known titles and skills; half repeat an earlier one, as a page that is looked at twice.
A user who is told to ask again later (429) waits as long as the answer says.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from machine import describe, sentence

from careergpt.data.whole_files import write_json

MAIN = Path(__file__).parents[1] / "main.py"


def started(model: str) -> tuple[subprocess.Popen[bytes], str]:
    """A server of the model, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", f"--model.pretrained={model}", f"--port={port}", f"--votes={os.devnull}"]
    server = subprocess.Popen([sys.executable, str(MAIN), *words])
    address = f"http://127.0.0.1:{port}"
    while server.poll() is None:
        try:
            httpx.get(f"{address}/health")
            return server, address
        except httpx.TransportError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def resident_mib(process: int) -> float:
    """Memory that the process holds, in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def known(client: httpx.AsyncClient) -> dict[str, list[str]]:
    """Titles and skills that the server suggests, by their first letters."""
    found: dict[str, list[str]] = {}
    for kind in ("titles", "skills"):
        asked = [{"kind": kind, "text": letter} for letter in "abcdefghijklmnopqrstuvwxyz"]
        answers = [await client.get("/suggest", params=words) for words in asked]
        found[kind] = sorted({name for answer in answers for name in answer.json()})
    return found


async def user(
    client: httpx.AsyncClient, names: dict[str, list[str]], seed: int, until: float
) -> list[tuple[int, float]]:
    """Status and seconds of each of the user's requests."""
    chance, earlier, found = random.Random(seed), list[dict[str, Any]](), []
    while time.monotonic() < until:
        if earlier and chance.random() < 0.5:
            asked = chance.choice(earlier)
        else:
            skills = chance.sample(names["skills"], chance.randint(0, 4))
            asked = {"position": chance.choice(names["titles"]), "skills": skills}
            asked["qualifications"] = False  # As the page asks.
            earlier.append(asked)
        begun = time.monotonic()
        answer = await client.post("/recommend", json=asked)
        found.append((answer.status_code, time.monotonic() - begun))
        if answer.status_code == 429:
            await asyncio.sleep(float(answer.headers["retry-after"]))
    return found


async def load(address: str, users: int, seconds: float) -> list[tuple[int, float]]:
    """What all users met."""
    limits = httpx.Limits(max_connections=users)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        names = await known(client)
        until = time.monotonic() + seconds
        each = await asyncio.gather(*(user(client, names, seed, until) for seed in range(users)))
    return [request for requests in each for request in requests]


def main() -> None:
    """Starts the server, loads it twice (the first time warms up), and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="a model folder that fit wrote")
    parser.add_argument("--users", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--json", default=None)
    args = parser.parse_args()
    server, address = started(args.model)
    try:
        asyncio.run(load(address, min(args.users, 4), min(args.seconds, 5)))
        before = resident_mib(server.pid)
        found = asyncio.run(load(address, args.users, args.seconds))
        after = resident_mib(server.pid)
    finally:
        server.terminate()
        server.wait(60)
    statuses = Counter(status for status, _ in found)
    times = np.array([seconds for status, seconds in found if status == 200])
    median, late, latest = np.quantile(times, [0.5, 0.95, 1]).tolist()
    print(
        f"{sentence()}\n{args.users} users, {args.seconds:.0f} s: {len(found):,} requests, "
        f"{len(times) / args.seconds:.0f} answered a second; by status {dict(statuses)}; seconds: "
        f"median {median:.2f}, 95 % {late:.2f}, slowest {latest:.2f}; "
        f"memory {before:.0f} MiB before, {after:.0f} after"
    )
    if args.json:
        told = {"median_s": median, "p95_s": late, "slowest_s": latest, "before_mib": before}
        told |= {"after_mib": after, "statuses": dict(statuses), "users": args.users}
        write_json(Path(args.json), {**told, "seconds": args.seconds, "machine": describe()})


if __name__ == "__main__":
    main()
