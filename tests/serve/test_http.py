"""Laws of the HTTP API: what the public API says, bounded; what is wrong is 4xx and a sentence."""

import asyncio
import base64
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import careergpt
from careergpt.cli import main
from careergpt.recommend.recommendation import as_json
from careergpt.serve.app import make_app
from careergpt.serve.guard import MAX_BODY
from careergpt.serve.service import Settings
from careergpt.serve.votes import side_of
from careergpt.serve.work import FullError, LateError, Worker

DRAW = "0123456789abcdef"
LOCAL = "http://127.0.0.1"


def events(text: str) -> list[tuple[str, Any]]:
    """Server-sent events: name and data."""
    parts = [event.split("\n") for event in text.strip().split("\n\n")]
    return [(name[7:], json.loads(data[6:])) for name, data in parts]


def test_a_recommendation_is_the_public_api_s(
    client: TestClient, models: dict[str, careergpt.Model]
) -> None:
    asked = {"position": "Registered nurse", "skills": ["triage"]}
    found = client.post("/recommend", json=asked).json()
    assert found == json.loads(json.dumps(as_json(models["finetuned"].recommend(**asked))))
    assert client.post("/recommend", json=asked).json() == found


def test_a_score_is_the_public_api_s_for_either_model(
    client: TestClient, models: dict[str, careergpt.Model]
) -> None:
    asked = {"prompt": "Which skills does a nurse need?", "completion": "triage"}
    for name, model in models.items():
        found = client.post("/score", json={**asked, "model": name}).json()
        assert found["nats"] == pytest.approx(model.score(**asked).nats)


def test_pieces_of_an_answer_make_the_whole_and_its_figures_follow(
    client: TestClient, models: dict[str, careergpt.Model]
) -> None:
    prompt = "Tell me about the qualifications required for a Data scientist."
    answer = client.post("/generate", json={"prompt": prompt, "max_new_tokens": 24, "seed": 3})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *pieces, (last, figures) = events(answer.text)
    whole = models["finetuned"].generate([prompt], max_new_tokens=24, seed=3)[0]
    assert {name for name, _ in pieces} == {"piece"}
    assert "".join(data["text"] for _, data in pieces).strip() == whole.text
    assert len(pieces) > 1
    assert (last, figures["tokens"]) == ("end", whole.n_tokens)
    assert figures["nats_per_token"] == pytest.approx(-whole.log_probability / whole.n_tokens)


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/recommend", {}, 400, "nothing is told"),
        ("/recommend", {"positon": "Nurse"}, 422, "positon"),
        ("/recommend", {"position": "x" * 201}, 422, "200"),
        ("/recommend", {"skills": ["x"] * 101}, 422, "100"),
        ("/recommend", {"position": 3}, 422, "position"),
        ("/generate", {"prompt": "x", "greedy": 1}, 422, "greedy"),
        ("/generate", {"prompt": ""}, 422, "prompt"),
        ("/generate", {"prompt": "x", "max_new_tokens": -1}, 422, "max_new_tokens"),
        ("/generate", {"prompt": "x", "max_new_tokens": 10**9}, 422, "max_new_tokens"),
        ("/generate", {"prompt": "word " * 300}, 400, "128"),
        ("/score", {"prompt": "x", "completion": "word " * 300}, 400, "128"),
        ("/vote", {"prompt": "x", "draw": "../../etc", "preferred": "A"}, 422, "draw"),
        ("/nothing", {}, 404, "Not Found"),
    ],
)
def test_a_mistake_is_a_sentence(
    client: TestClient, path: str, body: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 422),
        (b"\xff\xfe", 422),
        (b'{"position": "\\ud800"}', 422),
        (b'{"position": "Nurse", "a": ' + b"[" * 30_000, 400),
        (b" " * (MAX_BODY + 1), 413),
    ],
)
def test_a_hostile_body_is_refused(client: TestClient, content: bytes, status: int) -> None:
    answer = client.post(
        "/recommend", content=content, headers={"content-type": "application/json"}
    )
    assert answer.status_code == status, answer.text
    assert "Traceback" not in answer.text


def test_a_failure_of_ours_shows_nothing_of_the_program(
    client: TestClient, models: dict[str, careergpt.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("a secret of the program")

    monkeypatch.setattr(models["finetuned"], "recommend", broken)
    answer = client.post("/recommend", json={"position": "Nurse"})
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_end_of_text_in_a_prompt_is_text(client: TestClient) -> None:
    asked = {"prompt": "<|endoftext|><|endoftext|>", "completion": "a"}
    assert client.post("/score", json=asked).status_code == 200


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
@pytest.mark.parametrize("page", ["/?position={}", "/?skills={}", "/compare?prompt={}"])
def test_what_a_user_types_stays_text(client: TestClient, page: str, text: str) -> None:
    html = client.get(page.replace("{}", text.replace(" ", "+"))).text
    assert "<script>alert" not in html
    assert "<img" not in html


def test_no_answer_lets_a_page_load_anything_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/compare", "/about", "/static/page.js", "/health", "/nothing"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_files_beside_the_page_s_own_are_not_served(client: TestClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 400),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": LOCAL}, 200),
    ],
)
def test_a_page_of_another_site_can_ask_nothing(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    answer = client.post("/recommend", json={"position": "Registered nurse"}, headers=headers)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (None, 401),
        ("Bearer wrong", 401),
        ("Basic !", 401),
        ("Bearer s3cret", 200),
        ("Basic " + base64.b64encode(b"anyone:s3cret").decode(), 200),
    ],
)
def test_a_token_opens_everything_and_health_needs_none(
    models: dict[str, careergpt.Model], votes: Path, authorization: str | None, status: int
) -> None:
    with TestClient(make_app(models, Settings(votes, token="s3cret")), LOCAL) as client:
        headers = {"authorization": authorization} if authorization else {}
        assert client.get("/", headers=headers).status_code == status
        assert client.get("/metrics", headers=headers).status_code == status
        assert client.get("/health").status_code == 200


def test_a_full_queue_turns_away_and_what_lasts_too_long_is_told() -> None:
    async def tried() -> None:
        worker, go = Worker(wait=0, seconds=30), threading.Event()
        waiting = [asyncio.create_task(worker.run(go.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(FullError) as full:
            await worker.run(int)
        assert full.value.after > 0
        go.set()
        assert await asyncio.gather(*waiting) == [True, True]
        assert await worker.run(int) == 0
        worker._seconds, stuck = 0.05, threading.Event()
        with pytest.raises(LateError):
            await worker.run(stuck.wait)
        stuck.set()
        worker.close()

    asyncio.run(tried())


def test_work_stops_once_nobody_reads_its_pieces() -> None:
    async def tried() -> None:
        worker, given = Worker(wait=0, seconds=30), []

        def work(give: Any) -> None:
            for number in range(1_000_000):
                give(number)
                given.append(number)

        pieces = worker.stream(work)
        assert await anext(pieces) == 0
        await pieces.aclose()
        assert await worker.run(int) == 0  # The thread is free again.
        assert len(given) < 1_000_000
        worker.close()

    asyncio.run(tried())


def test_sides_are_a_fair_coin_and_each_pair_is_both_models() -> None:
    drawn = [side_of("A", f"{number:016x}", b"secret") for number in range(400)]
    assert 150 < drawn.count("finetuned") < 250
    assert {side_of("A", DRAW, b"s"), side_of("B", DRAW, b"s")} == {"finetuned", "baseline"}


def test_a_blind_answer_is_the_drawn_model_s_and_a_vote_counts_once(
    client: TestClient, models: dict[str, careergpt.Model], votes: Path
) -> None:
    asked = {"prompt": "Which skills does a nurse need?", "draw": DRAW}
    answers = {
        side: events(client.post("/blind", json={**asked, "side": side}).text) for side in "AB"
    }
    told = client.post("/vote", json={**asked, "preferred": "A"}).json()
    for side, found in answers.items():
        whole = models[told[side]].generate([asked["prompt"]], max_new_tokens=128)[0]
        text = "".join(data["text"] for name, data in found if name == "piece")
        assert text.strip() == whole.text
    assert told["preferred"] == told["A"]
    changed = client.post("/vote", json={**asked, "preferred": "tie"}).json()
    assert changed["tally"]["votes"] == 1
    assert changed["tally"]["share"] == 0.5
    assert len(votes.read_text().splitlines()) == 2
    assert "1 vote so far" in client.get("/compare").text


def test_without_a_baseline_there_is_nothing_to_compare(
    models: dict[str, careergpt.Model], votes: Path
) -> None:
    app = make_app({"finetuned": models["finetuned"]}, Settings(votes))
    with TestClient(app, LOCAL) as client:
        assert "--baseline" in client.get("/compare?prompt=x").text
        answer = client.post("/generate", json={"prompt": "x", "model": "baseline"})
        assert answer.status_code == 400
        assert "--baseline" in answer.json()["error"]


def test_the_schema_names_every_route_and_metrics_count_them(client: TestClient) -> None:
    client.get("/health")
    routes = set(client.get("/openapi.json").json()["paths"])
    assert {"/recommend", "/generate", "/score", "/health", "/metrics", "/"} <= routes
    refusals = client.get("/openapi.json").json()["paths"]["/score"]["post"]["responses"]
    assert {"400", "422", "429"} <= set(refusals)
    counted = client.get("/metrics").text
    assert 'careergpt_requests_total{path="/health",status="200"}' in counted


def test_suggestions_begin_with_what_is_typed(client: TestClient) -> None:
    found = client.get("/suggest", params={"kind": "titles", "text": "REG"}).json()
    assert found == ["Registered nurse"]
    assert client.get("/suggest", params={"kind": "titles", "text": " "}).json() == []
    assert client.get("/suggest", params={"kind": "files", "text": "a"}).status_code == 422


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--host=0.0.0.0"], "CAREERGPT_TOKEN"),
        (["--host=192.0.2.1"], "CAREERGPT_TOKEN"),
        (["--port=-1"], "--port"),
        (["--wait=-1"], "--wait"),
        (["--model.pretrained=nowhere"], "nowhere"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_before_anything_is_served(
    words: list[str], said: str, taught: careergpt.Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["serve", f"--model.pretrained={taught.model}", *words])
    assert caught.value.code == 2
    assert said in (told := capsys.readouterr().err)
    assert told.count("\n") == 1


def test_a_missing_extra_is_named(
    taught: careergpt.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main(["serve", f"--model.pretrained={taught.model}"])
    assert "careergpt[app]" in capsys.readouterr().err
