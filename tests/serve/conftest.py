"""A server of the models that one tiny training has left."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import careergpt
from careergpt.serve.app import make_app
from careergpt.serve.service import Settings


@pytest.fixture(scope="session")
def models(taught: careergpt.Run) -> dict[str, careergpt.Model]:
    folders = {"finetuned": taught.model, "baseline": taught.folder / "baseline"}
    return {name: careergpt.load(folder, device="cpu") for name, folder in folders.items()}


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    return tmp_path / "votes.jsonl"


@pytest.fixture
def client(models: dict[str, careergpt.Model], votes: Path) -> Iterator[TestClient]:
    """A client of a server on this machine, as it is started by default."""
    app = make_app(models, Settings(votes, hosts=("127.0.0.1",)))
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as found:
        yield found
