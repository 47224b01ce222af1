"""A server of the models that one tiny training has left."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

import careergpt
from careergpt.serve.app import make_app
from careergpt.serve.guard import TimedConnection
from careergpt.serve.service import Settings
from careergpt.serve.votes import Votes


@pytest.fixture(scope="session")
def models(taught: careergpt.Run) -> dict[str, careergpt.Model]:
    folders = {"finetuned": taught.model, "baseline": taught.folder / "baseline"}
    return {name: careergpt.load(folder, device="cpu") for name, folder in folders.items()}


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    return tmp_path / "votes.jsonl"


@pytest.fixture
def client(models: dict[str, careergpt.Model], votes: Path) -> Iterator[TestClient]:
    """A client of a server on this machine, which nobody waits for in vain."""
    app = make_app(models, Settings(Votes(votes), wait=60.0, hosts=("127.0.0.1",)))
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture(scope="session")
def address(
    models: dict[str, careergpt.Model], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A server in a thread of this process."""
    votes = Votes(tmp_path_factory.mktemp("votes") / "votes.jsonl")
    app = make_app(models, Settings(votes, wait=60.0, hosts=("127.0.0.1",)))
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=TimedConnection, ws="none", log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join()
