"""The client answers what the loaded model itself does."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

import careergpt
from careergpt.errors import InputError
from careergpt.serve.client import Client

ASKED = {"position": "Registered nurse", "skills": ["triage", "patient care"]}


@pytest.fixture
def model(models: dict[str, careergpt.Model]) -> careergpt.Model:
    return models["finetuned"]


def test_its_answers_are_the_model_s(address: str, model: careergpt.Model) -> None:
    pieces: list[str] = []
    with Client(address) as client:
        assert client.recommend(**ASKED) == model.recommend(**ASKED)
        assert client.paths(goal="Nurse manager", steps=2) == model.paths(
            goal="Nurse manager", steps=2
        )
        assert client.paths(**ASKED, steps=2) == model.paths(**ASKED, steps=2)
        assert client.qualifications("Registered nurse") == model.qualifications("Registered nurse")
        assert client.qualifications("Wizard") is None
        assert client.score("A nurse", "cares") == model.score("A nurse", "cares")
        written = client.write("A nurse", pieces.append, max_new_tokens=20, seed=3)
    own = model.write("A nurse", lambda _: None, max_new_tokens=20, seed=3)
    assert (written.text, written.tokens) == (own.text, own.n_tokens)
    assert "".join(pieces).strip() == own.text


def test_a_refusal_is_one_sentence(address: str) -> None:
    with Client(address) as client, pytest.raises(InputError, match="steps"):
        client.paths(**ASKED, steps=9)
    with Client(address) as client, pytest.raises(InputError, match="recommend"):
        client.recommend()


def test_who_is_told_to_come_back_comes_back() -> None:
    asked = []

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.headers["authorization"])
            self.rfile.read(int(self.headers["content-length"]))
            status = 429 if len(asked) < 3 else 200
            body = b'{"error": "many ask"}'
            if status == 200:
                body = b'{"nats": 1.0, "tokens": 1, "perplexity": 2.7}'
            self.send_response(status)
            self.send_header("retry-after", "0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Busy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with Client(f"http://127.0.0.1:{server.server_port}", "secret") as client:
        assert client.score("a", "b").perplexity == 2.7
    assert asked == ["Bearer secret"] * 3
    server.shutdown()
    server.server_close()
