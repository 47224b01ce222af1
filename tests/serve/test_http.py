"""Laws of the HTTP API: what the public API says, bounded; what is wrong is 4xx and a sentence."""

import asyncio
import base64
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
import uvicorn
from starlette.testclient import TestClient

import careergpt
from careergpt.cli import main
from careergpt.compare.report import add_to_card
from careergpt.errors import InputError
from careergpt.recommend import embeddings
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.occupations import Preparation
from careergpt.recommend.paths import paths_as_json
from careergpt.recommend.recommendation import as_json
from careergpt.serve import guard, pages
from careergpt.serve.app import make_app
from careergpt.serve.guard import MAX_BODY
from careergpt.serve.service import Settings
from careergpt.serve.votes import Votes, side_of
from careergpt.serve.work import FullError, LateError, Worker
from tests.processes import start

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


def test_what_a_page_shows_at_once_is_the_answer_but_for_what_is_written(
    client: TestClient, models: dict[str, careergpt.Model]
) -> None:
    asked = {"position": "Registered nurse", "skills": ["triage"]}
    whole = client.post("/recommend", json=asked).json()
    found = client.post("/recommend", json={**asked, "qualifications": False}).json()
    assert found == {**whole, "qualifications": None}
    written = client.post("/qualifications", json={"position": found["skills_for"]})
    last, data = events(written.text)[-1]
    assert (last, data["text"]) == ("end", (whole["qualifications"] or {"text": None})["text"])


def test_qualifications_come_in_pieces_and_are_those_of_the_recommendation(
    taught: careergpt.Run,
) -> None:
    model, pieces = careergpt.load(taught.model, device="cpu"), list[str]()
    found = model.qualifications("Registered nurse", pieces.append)
    assert found is not None
    assert found.text.splitlines()[0] in "".join(pieces)
    assert model.recommend(position="Registered nurse").qualifications == found
    assert model.qualifications("Lion tamer", pieces.append) is None


def test_a_way_that_starts_from_what_is_not_known_says_so_first(client: TestClient) -> None:
    note = "none of the candidates"
    asked = {"position": "Lion tamer", "goal": "Registered nurse"}
    assert note in client.get("/", params=asked).text
    assert note not in client.get("/", params={**asked, "position": "Data clerk"}).text


@pytest.mark.parametrize(
    "asked",
    [
        {"position": "Registered nurse", "steps": 2},
        {"position": "Data clerk", "goal": "Registered nurse", "steps": 3},
        {"goal": "Registered nurse"},
    ],
)
def test_paths_are_the_public_api_s_and_each_of_their_titles_is_a_link(
    client: TestClient, models: dict[str, careergpt.Model], asked: dict[str, Any]
) -> None:
    found = client.post("/paths", json=asked).json()
    expected = paths_as_json(models["finetuned"].paths(**{"steps": 2, **asked}))
    assert found == json.loads(json.dumps(expected))
    page = client.get("/", params=asked).text
    steps = asked.get("steps", 3)
    paths = client.post("/paths", json={**asked, "steps": steps}).json()["paths"]
    shown = [path for path in paths if path["probability"] >= paths[0]["probability"] / 100]
    assert page.count('class="joint"') == len(shown)
    for path in shown:
        for step in path["steps"]:
            assert f">{step['title']}</a>" in page


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
        ("/paths", {}, 400, "nothing is told"),
        ("/paths", {"goal": "Lion tamer"}, 400, "Lion tamer"),
        ("/paths", {"goal": "Welder", "steps": 4}, 422, "steps"),
        ("/qualifications", {"position": ""}, 422, "position"),
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
@pytest.mark.parametrize(
    "page", ["/?position={}", "/?skills={}", "/?goal={}", "/compare?prompt={}"]
)
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


def test_about_shows_what_the_run_has_left_of_the_model(
    client: TestClient,
    models: dict[str, careergpt.Model],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert "leaks across splits: 0" in client.get("/about").text
    monkeypatch.setattr(models["finetuned"], "folder", str(tmp_path / "model"))
    page = client.get("/about").text
    assert "no card" in page
    assert "leaks" not in page
    assert "/report" not in page
    assert client.get("/report").status_code == 404
    (tmp_path / "model").mkdir()
    for part in ("test", "comparison"):
        assert add_to_card(tmp_path / "model", f"Of {part}: 0.5 <!-- a note --> and on.", part)
    page = client.get("/about").text
    assert "Of test: 0.5 &lt;!-- a note --&gt; and on." in page
    assert page.count("&lt;!--") == 2
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / "report.html").write_text("<p>a finding</p>")
    assert 'href="/report"' in client.get("/about").text
    found = client.get("/report")
    assert found.text == "<p>a finding</p>"
    assert "script" not in found.headers["content-security-policy"]


def test_files_beside_the_page_s_own_are_not_served(client: TestClient) -> None:
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static//etc/passwd"):
        assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 400),
        ({"host": "["}, 400),
        ({"origin": "http://["}, 403),
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
    with TestClient(make_app(models, Settings(Votes(votes), token="s3cret")), LOCAL) as client:
        headers = {"authorization": authorization} if authorization else {}
        assert client.get("/", headers=headers).status_code == status
        assert client.get("/metrics", headers=headers).status_code == status
        assert client.get("/health").status_code == 200


def test_a_full_queue_turns_away_and_what_lasts_too_long_is_told() -> None:
    async def tried() -> None:
        worker, go = Worker(wait=0, seconds=30), threading.Event()
        waiting = asyncio.create_task(worker.run(go.wait))
        await asyncio.sleep(0)
        with pytest.raises(FullError) as full:
            await worker.run(int)
        assert full.value.after > 0
        go.set()
        assert await waiting
        assert await worker.run(int) == 0
        worker._seconds, stuck = 0.05, threading.Event()
        with pytest.raises(LateError):
            await worker.run(stuck.wait)
        stuck.set()
        worker.close()

    asyncio.run(tried())


@pytest.mark.parametrize(("seconds", "is_let_in"), [(0.3, True), (0.4, False)])
def test_who_is_let_in_is_answered_within_the_wait(seconds: float, is_let_in: bool) -> None:
    async def tried() -> None:
        worker, go = Worker(wait=1.0, seconds=30), threading.Event()
        worker._mean = seconds  # Two before, and the own: three times that.
        waiting = [asyncio.create_task(worker.run(go.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        go.set()
        ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(one, FullError) for one in ended] == [False, False, not is_let_in]
        worker.close()

    asyncio.run(tried())


def test_work_stops_once_nobody_reads_its_pieces() -> None:
    async def tried() -> None:
        worker, given = Worker(wait=1.0, seconds=30), []

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
    assert Votes(votes).tally() == changed["tally"]  # As a server that starts anew reads them.


def test_votes_are_judged_from_twenty_on(client: TestClient, votes: Path) -> None:
    for number in range(20):
        assert "too few to judge by" in client.get("/compare").text or not number
        asked = {"prompt": f"Prompt {number}", "draw": f"{number:016x}", "preferred": "tie"}
        tally = client.post("/vote", json=asked).json()["tally"]
    assert tally["told"].startswith(
        "20 votes so far: the fine-tuned model's answer was preferred 50%"
    )
    shown = client.get("/compare").text
    assert "20 votes so far" in shown
    assert "20 votes so far" not in client.get("/compare?blind=true").text  # They would sway.


def test_a_bar_is_as_long_as_its_probability_says(
    client: TestClient, models: dict[str, careergpt.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = models["finetuned"].recommend(position="Registered nurse", qualifications=False)
    first, *_ = found.positions
    for number, (share, width) in enumerate(((0.1, "10.0"), (0.5, "50.0"))):
        answer = found._replace(positions=(first._replace(probability=share),))
        monkeypatch.setattr(models["finetuned"], "recommend", lambda answer=answer, **_: answer)
        page = client.get("/", params={"position": "Registered nurse", "skills": f"s{number}"})
        assert f'<rect width="{width}"' in page.text


def test_without_a_baseline_there_is_nothing_to_compare(
    models: dict[str, careergpt.Model], votes: Path
) -> None:
    app = make_app({"finetuned": models["finetuned"]}, Settings(Votes(votes)))
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
    page = client.get("/openapi.json").json()["paths"]["/report"]["get"]["responses"]
    for responses in (refusals, page):
        assert responses["404"]["content"].keys() == {"application/json", "text/html"}
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
        (["--port=70000"], "--port"),
        (["--wait=-1"], "--wait"),
        (["--wait=nan"], "wait"),
        (["--seconds=inf"], "seconds"),
        (["--votes=."], "--votes"),
        (["--votes=nowhere/votes.jsonl"], "--votes"),
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


def test_what_an_unknown_title_needs_is_made_before_anybody_asks(
    taught: careergpt.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters_of, made = Mock(wraps=embeddings.letters_of), []
    monkeypatch.setattr(embeddings, "letters_of", letters_of)
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_: made.append(letters_of.called))
    embeddings.near_names.cache_clear()
    votes = f"--votes={tmp_path / 'votes.jsonl'}"
    main(["serve", f"--model.pretrained={taught.model}", "--port=0", votes])
    assert made == [True]


def test_a_missing_extra_is_named(
    taught: careergpt.Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main(["serve", f"--model.pretrained={taught.model}"])
    assert "careergpt[app]" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["{", "[]", '{"draw": "a"}'])
def test_a_line_that_is_no_vote_is_named_before_anything_is_served(votes: Path, line: str) -> None:
    votes.write_text('{"draw": "a", "prompt": "b", "preferred": "tie"}\n' + line + "\n")
    with pytest.raises(InputError, match=r"votes.jsonl:2"):
        Votes(votes)


def test_a_port_in_use_is_one_line(
    taught: careergpt.Run, address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = address.rpartition(":")[2]
    words = [f"--port={port}", f"--votes={tmp_path / 'votes.jsonl'}"]
    with pytest.raises(SystemExit) as caught:
        main(["serve", f"--model.pretrained={taught.model}", *words])
    assert caught.value.code == 2
    assert f"--port {port}: Address already in use" in (told := capsys.readouterr().err)
    assert told.count("\n") == 1


def test_a_page_that_is_turned_away_says_so_and_asks_again(
    models: dict[str, careergpt.Model], votes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Worker) -> None:
        raise FullError(2.5)

    with TestClient(make_app(models, Settings(Votes(votes))), LOCAL) as client:
        assert client.get("/?position=Welder").status_code == 200
        monkeypatch.setattr(Worker, "_enter", full)
        answer = client.get("/?position=Nurse")
        assert (answer.status_code, answer.headers["refresh"]) == (429, "3")
        assert "<h1>" in answer.text
        assert "ask again in 3 s" in answer.text
        # What was asked before needs no model.
        assert client.get("/?position=Welder").status_code == 200
        assert 'path="/",status="429"' in client.get("/metrics").text


def connected(address: str, sent: bytes) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)), timeout=30)
    made.sendall(sent)
    return made


def test_idle_and_slow_clients_hold_nobody_up_and_are_hung_up_on(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "SEND_SECONDS", 0.5)
    slow = b"POST /score HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n{"
    begun = [connected(address, sent) for sent in [b"", b"GET / HT", slow] * 60]
    assert httpx.get(f"{address}/health").status_code == 200
    for made, said in zip(begun, [b"", b"", b"408"] * 60, strict=True):
        answer = made.recv(1024)
        assert said in answer.partition(b"\r\n")[0]
        assert bool(said) == bool(answer)
        made.close()


def test_a_header_like_a_book_is_refused(address: str) -> None:
    with connected(address, b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: " + b"x" * 200_000) as made:
        assert made.recv(1024).startswith(b"HTTP/1.1 400")


def test_what_was_asked_before_a_signal_is_answered(taught: careergpt.Run, tmp_path: Path) -> None:
    words = ["serve", f"--model.pretrained={taught.model}", "--port=0", "--device=cpu"]
    words += [f"--votes={tmp_path / 'votes.jsonl'}"]
    server = start(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert server.stdout is not None
    address = server.stdout.readline().split()[1]
    asked = {"prompt": "Which skills does a nurse need?", "max_new_tokens": 100}
    with httpx.stream("POST", f"{address}/generate", json=asked, timeout=60) as answer:
        lines = answer.iter_lines()
        assert next(lines) == "event: piece"
        server.send_signal(signal.SIGTERM)
        assert "event: end" in lines
    _, told = server.communicate(timeout=60)
    assert server.returncode == 128 + signal.SIGTERM
    assert told.strip() == "stopped by SIGTERM"


def test_positions_that_take_more_preparation_can_be_left_out(
    client: TestClient, models: dict[str, careergpt.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = models["finetuned"].recommend(position="Registered nurse", qualifications=False)
    levels = [str(1 + place % 4) for place in range(len(found.positions))]
    zones = [Preparation(str(1 + p % 5), "", level) for p, level in enumerate(levels)]
    common = [place / len(levels) for place in range(len(levels))]
    positions = tuple(
        one._replace(preparation=zone, in_common=share)
        for one, zone, share in zip(found.positions, zones, common, strict=True)
    )
    answer = found._replace(positions=positions)
    monkeypatch.setattr(models["finetuned"], "recommend", lambda **_: answer)
    asked = {"position": "Registered nurse"}
    whole, some, learned, near, none = (
        client.get("/", params={**asked, **more}).text
        for more in ({}, {"zone": 2}, {"level": 3}, {"common": 50}, {"zone": -1})
    )
    assert "zone=2" in whole
    assert "level=3" in whole
    both = client.get("/", params={**asked, "zone": 2, "level": 3}).text
    assert 'zone=2&amp;level=1"' in both  # Another level, of the same zones.
    assert 'zone=2&amp;level=3&amp;common=30"' in both
    assert both.count('aria-current="true">') == 3
    assert "job zone 1; skill level 1 (short instruction)" in whole
    assert "None of these positions is known to take so little" in none
    for place, one in enumerate(positions):
        shown = f">{one.title}</a></h3>"
        assert shown in whole
        assert (shown in some) == (place % 5 < 2)
        assert (shown in learned) == (place % 4 < 3)
        assert (shown in near) == (common[place] >= 0.5)
        assert shown not in none


@pytest.mark.parametrize(
    ("common", "offered", "near"),
    [([0.1, 0.29, None], [], 0), ([None, None], [], 0), ([0.6, 0.7], [], 2), ([0.2, 0.4], [30], 1),
     ([0.295, 0.4, 0.8], [50], 3), ([0.294, 0.8], [50, 30], 1)],
)  # fmt: skip
def test_a_share_of_skills_is_offered_where_some_positions_reach_it_and_some_do_not(
    client: TestClient, models: dict[str, careergpt.Model], monkeypatch: pytest.MonkeyPatch,
    common: list[float | None], offered: list[int], near: int,
) -> None:  # fmt: skip
    found = models["finetuned"].recommend(position="Registered nurse", qualifications=False)
    few = zip(found.positions, common, strict=False)
    positions = tuple(one._replace(in_common=share) for one, share in few)
    answer = found._replace(positions=positions)
    monkeypatch.setattr(models["finetuned"], "recommend", lambda **_: answer)
    asked = {"position": f"Nurse of {common}"}  # The same question has the same answer.
    page = client.get("/", params=asked).text
    assert [int(share) for share in re.findall(r'common=(\d+)"', page)] == offered
    assert ("Skills in common at least" in page) == bool(offered)
    left = client.get("/", params={**asked, "common": 30}).text
    assert left.count("</a></h3>") == near


def test_a_step_that_a_taxonomy_lists_says_so_and_much_less_likely_paths_are_left_out(
    client: TestClient, models: dict[str, careergpt.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = models["finetuned"].paths(position="Registered nurse", steps=1)
    first, second, *_ = found.paths
    step = first.steps[0]._replace(seen=None, listed=True, preparation=Preparation("4"))
    one = first._replace(steps=(step,), probability=0.5)
    for share, shown in ((0.0051, True), (0.0049, False)):
        answer = found._replace(paths=(one, second._replace(probability=share)))
        monkeypatch.setattr(models["finetuned"], "paths", lambda answer=answer, **_: answer)
        page = client.get("/", params={"position": "Registered nurse", "goal": str(share)}).text
        assert page.count(", the taxonomy lists it") == 1
        assert page.count("job zone 4") == 1
        assert (f">{second.steps[0].title}</a>" in page) == shown


def test_examples_are_frequent_names_that_their_fields_show_whole() -> None:
    long = "wholesale merchant in chemical products"
    titles = Candidates((long, "Cook", "Nurse", "Clerk"), (9, 8, 7, 6))
    shown = pages.examples(titles, Candidates(("SQL", "Excel", "R"), (3, 2, 1)))
    assert shown.pop("skills") == "SQL, Excel"
    assert shown == {"position": "Cook", "history": "Nurse", "goal": "Clerk"}
    alone = pages.examples(Candidates((long,), (9,)), Candidates())
    assert alone == {"position": long, "history": "", "goal": "", "skills": ""}
