"""W&B asks nobody, and neither a missing, nor a dead, nor a dying server stops a fit."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[2]
BUCKET = {
    "id": "aWQ=", "displayName": "abc", "config": "{}", "historyLineCount": 0,
    "project": {"id": "cA==", "name": "careergpt", "entity": {"id": "ZQ==", "name": "me"}},
}  # fmt: skip


class Dying(BaseHTTPRequestHandler):
    """W&B's server as far as a run's start needs it; from then on every answer is a failure."""

    started = False

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = json.loads(body) if body.startswith(b'{"query"') else {}
        bucket = {**BUCKET, "name": asked.get("variables", {}).get("name")}
        answer = json.dumps({"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}})
        self.send_response(500 if type(self).started else 200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer.encode())
        type(self).started |= b"mutation UpsertBucket" in body

    def log_message(self, *_: object) -> None: ...


class Dead(Dying):
    started = True


@contextmanager
def answering(handler: type[Dying]) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def silent() -> Iterator[int]:
    """Takes connections, by the system's queue, and never says a word."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as server:
        yield server.getsockname()[1]


@contextmanager
def refusing() -> Iterator[int]:
    yield 9


def fit(folder: Path, tables: Path, model: Path, **environment: str) -> tuple[str, float]:
    """What a fit with W&B's logger prints, and its seconds; its input is open and silent."""
    few = ["--data.batch_tokens=1024", "--trainer.max_epochs=1", "--samples.max_new_tokens=3"]
    words = [
        "fit", f"--model.pretrained={model}", f"--data.source={tables}", "--titles.limit=0",
        f"--data.cache={folder.parent / 'cache'}", "--data.processes=1", "--rankings.limit=0",
        "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
        f"--trainer.default_root_dir={folder}", *few,
    ]  # fmt: skip
    known = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    began = time.monotonic()
    program = subprocess.Popen(
        [sys.executable, str(ROOT / "main.py"), *words],
        env={**known, "HOME": str(folder.parent), "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        cwd=folder.parent,
    )  # fmt: skip
    assert program.stdout is not None
    said = program.stdout.read()
    assert program.wait(timeout=120) == 0, said
    assert (folder / "model" / "model.safetensors").exists()
    return said, time.monotonic() - began


def test_without_a_key_it_logs_offline_and_asks_nobody(
    tables: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    said, _ = fit(tmp_path / "run", tables, tiny_gpt2)
    assert "wandb" not in said.lower()
    assert list((tmp_path / "run").glob("wandb/offline-run-*/*.wandb"))


SERVERS = {
    "none": (refusing, "cannot be used (<urlopen error [Errno 111] Connection refused>)"),
    "silent": (silent, "cannot be used (no answer in 2 seconds)"),
    "dead": (lambda: answering(Dead), "cannot be used (HTTP Error 500: Internal Server Error)"),
    "dying": (lambda: answering(Dying), "did not take all that was logged"),
}


@pytest.mark.parametrize("case", SERVERS)
def test_a_server_that_fails_costs_a_line_and_no_run(
    case: str, tables: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    serve, why = SERVERS[case]
    with serve() as port:
        said, seconds = fit(
            tmp_path / "run", tables, tiny_gpt2,
            WANDB_API_KEY="0" * 40, WANDB_BASE_URL=f"http://127.0.0.1:{port}",
        )  # fmt: skip
    assert seconds < 60
    (told,) = [line for line in said.splitlines() if line.startswith("W&B at ")]
    assert told.startswith(f"W&B at http://127.0.0.1:{port} {why}")
    kept = told.partition("Send it later: wandb sync ")[2]
    assert Path(kept).parent == tmp_path / "run" / "wandb"
    assert list(Path(kept).glob("*.wandb"))
