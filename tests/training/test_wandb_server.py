"""W&B asks nobody, and neither a missing, nor a dead, nor a dying server stops a fit."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.processes import MAIN, start

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


LOG = """
import sys
from careergpt.training.logs import Wandb
logger = Wandb(sys.argv[1])
logger.log_hyperparams({"model": {"lr": 1.0}})
for step in range(3):
    logger.log_metrics({"train/loss": 1.0}, step)
    logger.log_table("samples", columns=["prompt"], data=[["Who?"]])
logger.finalize("success")
print("the run went on")
"""


def run(script: Path, words: list[str], folder: Path, **environment: str) -> tuple[str, float]:
    """What a program prints that logs to W&B, and its seconds; its input is open and silent."""
    began = time.monotonic()
    process = start(
        words, {"HOME": str(folder.parent), **environment}, script=script, cwd=folder.parent,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    said = process.stdout.read()
    assert process.wait(timeout=120) == 0, said
    return said, time.monotonic() - began


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A program that logs and does nothing else."""
    path = tmp_path / "log.py"
    path.write_text(LOG)
    return path


def test_without_a_key_it_logs_offline_and_asks_nobody(log: Path, tmp_path: Path) -> None:
    said, _ = run(log, [str(tmp_path / "run")], tmp_path / "run")
    assert said == "the run went on\n"
    assert list((tmp_path / "run").glob("wandb/offline-run-*/*.wandb"))


SERVERS = {
    "none": (refusing, "cannot be used (<urlopen error [Errno 111] Connection refused>)"),
    "silent": (silent, "cannot be used (no answer in 2 seconds)"),
    "dead": (lambda: answering(Dead), "cannot be used (HTTP Error 500: Internal Server Error)"),
    "dying": (lambda: answering(Dying), "did not take all that was logged"),
}


@pytest.mark.parametrize("case", SERVERS)
def test_a_server_that_fails_costs_a_line_and_no_run(
    case: str, log: Path, tables: Path, tiny_gpt2: Path, tmp_path: Path
) -> None:
    serve, why = SERVERS[case]
    folder = tmp_path / "run"
    script, words = log, [str(folder)]
    if case == "dying":  # Within a whole fit: it may fail at any of its hooks.
        script, words = MAIN, [
            "fit", f"--model.pretrained={tiny_gpt2}", f"--data.source={tables}",
            f"--data.cache={tmp_path / 'cache'}", "--data.processes=1", "--data.batch_tokens=1024",
            "--rankings.limit=0", "--titles.limit=0", "--trainer.max_epochs=1",
            "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
            "--samples.max_new_tokens=3", f"--trainer.default_root_dir={folder}",
        ]  # fmt: skip
    with serve() as port:
        url = f"http://127.0.0.1:{port}"
        said, seconds = run(script, words, folder, WANDB_API_KEY="0" * 40, WANDB_BASE_URL=url)
    assert seconds < 60
    assert ("the run went on" in said) or (folder / "model" / "model.safetensors").exists()
    (told,) = [line for line in said.splitlines() if line.startswith("W&B at ")]
    assert told.startswith(f"W&B at {url} {why}")
    kept = told.partition("Send it later: wandb sync ")[2]
    assert Path(kept).parent == folder / "wandb"
    assert list(Path(kept).glob("*.wandb"))
