"""Rankings in a run: what `fit` counts and chooses, and what `test` measures beside the peers."""

import json
import math
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from careergpt.cli import main
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import TEST, TRAIN, VAL
from careergpt.errors import InputError
from careergpt.modeling.loaded import find_model
from careergpt.recommend.evaluation import Query, ranking_fields
from careergpt.recommend.peers import strong_peers
from careergpt.recommend.rankings import Rankings
from careergpt.training.evaluation import EvaluateRankings
from careergpt.training.module import CareerModule
from careergpt.training.trainer import CareerTrainer
from tests.conftest import write_tables

ROOT = Path(__file__).parents[2]
SKILLS = {
    "Nurse": "wound care; triage; charting; empathy",
    "Welder": "arc welding; grinding; rigging; safety",
    "Analyst": "SQL; statistics; reporting; dashboards",
}
PEERS = {
    "path": ["popularity", "markov", "alike"],
    "path/changed": ["popularity", "markov", "alike"],
    "path/unseen": ["popularity", "markov", "alike"],
    "position": ["popularity", "neighbours", "profiles"],
    "skills": ["popularity", "by_title", "alike"],
}
EMBEDDED = {
    "path": ["smoothed", "cosine"],
    "path/changed": ["smoothed", "cosine"],
    "path/unseen": ["smoothed", "cosine"],
    "position": ["logistic"],
    "skills": [],
}
BY = {task: ["model", "blend", *PEERS[task], "baseline", *more] for task, more in EMBEDDED.items()}
FIGURES = ["mrr", "recall@1", "recall@5", "recall@10", "map", "loss", "perplexity",
           "calibration_error", "left_out", "outside", "coverage", "mrr_all",
           "candidates"]  # fmt: skip


def postings(chance: random.Random) -> Iterator[list[str]]:
    """Of three titles."""
    for number in range(60):
        title = list(SKILLS)[number % 3]
        some = chance.sample(SKILLS[title].split("; "), 3)
        said = " ".join(chance.choices("abcdefghij", k=8)) + f" {chance.random()}"
        yield [f"Firm {number}", title, f"We seek {said}.", "; ".join(some)]


def careers(chance: random.Random) -> Iterator[list[str]]:
    """Between those titles, each with a title of its own in it."""
    for number in range(90):
        title = chance.choice(list(SKILLS))
        after = [chance.choice([f"Senior {title}", f"Senior {title}", title]), f"Chief {title}"]
        own = [f"Founder of firm {number}"] if number % 4 == 0 else []
        yield [title, f"Trainee of plan {number}", *after[: chance.choice([1, 2])], *own]


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of the tables, and of a Trainer that is quiet."""
    folder, chance = tmp_path_factory.mktemp("ranked"), random.Random(0)
    tables = write_tables(folder / "tables", postings(chance), careers(chance))
    return [
        f"--data.source={tables}", f"--data.cache={folder / 'cache'}",
        "--data.processes=1", "--trainer.logger=false", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, tiny_gpt2: Path) -> Path:
    """The starting model, where a test may take it away."""
    folder = tmp_path_factory.mktemp("started") / "gpt2"
    shutil.copytree(tiny_gpt2, folder)
    return folder


@pytest.fixture(scope="module")
def fit(words: list[str], started: Path) -> Callable[..., Path]:
    """Fits a model and gives its folder."""

    def fitted(run: Path, *options: str) -> Path:
        few = ["--trainer.max_epochs=3", "--model.lr=0.01", "--data.batch_tokens=512",
                "--samples.prompts=[]",
               "--samples.records=0", "--titles.limit=0"]  # fmt: skip
        named = [f"--model.pretrained={started}", f"--trainer.default_root_dir={run}"]
        main(["fit", *words, *few, *named, *options])
        return run / "model"

    return fitted


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, fit: Callable[..., Path]) -> Path:
    """The folder of a model that was fitted on the tables; every title counts."""
    return fit(tmp_path_factory.mktemp("runs") / "run", "--data.min_count=1")


@pytest.fixture(scope="module")
def data(words: list[str], model: Path) -> CareerDataModule:
    """The tables as the run saw them."""
    source, cache = (word.partition("=")[2] for word in words[:2])
    found = CareerDataModule(source, cache=cache, tokenizer=str(model), context=128, processes=1)
    found.prepare_data()
    found.setup("test")
    return found


def settings_of(model: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((model / "careergpt.json").read_text(encoding="utf-8"))
    return found


def measured(model: Path, words: list[str], out: Path, *options: str) -> list[dict[str, Any]]:
    """The rows that `test` writes; JSON knows no NaN."""
    main(["test", f"--model.pretrained={model}", *words, *options, f"--json={out}"])
    return rows_in(out)


def rows_in(out: Path) -> list[dict[str, Any]]:
    def constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    found: list[dict[str, Any]] = json.loads(out.read_text(), parse_constant=constant)
    return found


@pytest.fixture(scope="module")
def rows(
    model: Path, words: list[str], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], dict[str, Any]]:
    """What `test` writes, by task and by whom."""
    out = tmp_path_factory.mktemp("tested") / "t.json"
    return {(row["task"], row["row"]): row for row in measured(model, words, out)}


def titles_in(record: dict[str, Any]) -> set[str]:
    return {*record.get("titles", ()), record.get("position_title", "")} - {""}


def test_only_training_records_make_candidates(model: Path, data: CareerDataModule) -> None:
    trained, *unseen = (
        [titles_in(r) for r in data.dataset.fields(split, ["titles", "position_title"])]
        for split in (TRAIN, VAL, TEST)
    )
    listed = settings_of(model)["candidates"]["titles"]
    assert dict(zip(listed["names"], listed["counts"], strict=True)) == {
        title: sum(title in some for some in trained) for title in set().union(*trained)
    }
    for split in unseen:
        alone = set().union(*split) - set().union(*trained)
        assert alone
        assert not alone & set(listed["names"])


def test_count_models_are_counted_on_training_records_alone(
    model: Path, data: CareerDataModule
) -> None:
    trained = data.dataset.fields(TRAIN, ranking_fields(data.tasks))
    expected = Rankings.of(data.tasks, trained, 1)
    found = Rankings.load(data.tasks, settings_of(model), model, count_models=True)
    asked = {
        "path": {"titles": ("Nurse",)},
        "position": {"skills": ("SQL", "triage")},
        "skills": {"position_title": "Welder"},
    }
    for name, ranking in expected.by_task.items():
        for peer, counts in ranking.count_models.items():
            other = found.by_task[name].count_models[peer]
            query = [asked[name]]
            assert (counts.log_probabilities(query) == other.log_probabilities(query)).all()


def test_validation_records_choose_and_test_records_do_not(
    model: Path, data: CareerDataModule
) -> None:
    rankings = Rankings.load(data.tasks, settings_of(model), model, count_models=True)
    counted = Rankings.of(data.tasks, data.dataset.fields(TRAIN, ranking_fields(data.tasks)), 1)
    loaded = find_model(str(model)).load(torch.device("cpu"))
    chosen, other = (
        counted.fit(loaded, data.dataset.fields(split, ranking_fields(data.tasks)), 500)
        for split in (VAL, TEST)
    )
    for name, ranking in rankings.by_task.items():
        expected = chosen.by_task[name]
        assert ranking.calibration == pytest.approx(expected.calibration, rel=1e-4)
        assert ranking.blend is not None
        assert expected.blend is not None
        assert ranking.blend.peer == expected.blend.peer
        assert ranking.blend.weight == pytest.approx(expected.blend.weight, abs=1e-4)
    for name in ("path", "position"):
        told, unasked = rankings.by_task[name].calibration, other.by_task[name].calibration
        assert told != pytest.approx(unasked, rel=1e-3)


def test_a_limit_of_0_chooses_nothing(
    fit: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    folder = fit(
        tmp_path / "run", "--rankings.limit=0", "--trainer.max_steps=1", "--data.min_count=5"
    )
    settings = settings_of(folder)
    plain = {"surface": 0.0, "temperature": 1.0}
    assert settings["calibration"] == dict.fromkeys(("path", "position", "skills"), plain)
    assert settings["blend"] == {}
    assert settings["exponent"] == 0.5
    # From five training records on: nobody's own title is one.
    assert settings["candidates"]["titles"]["names"]
    assert min(settings["candidates"]["titles"]["counts"]) >= 5
    found = measured(folder, words, tmp_path / "t.json")
    assert [row["row"] for row in found if row["task"] == "path"] == [
        "model", *PEERS["path"], "baseline", *EMBEDDED["path"],
    ]  # fmt: skip


def test_each_ranking_has_a_row_for_each_that_ranks(
    rows: dict[tuple[str, str], dict[str, Any]], model: Path
) -> None:
    ranked = [place for place in rows if place[0] in BY]
    assert sorted(ranked) == sorted((task, by) for task in BY for by in BY[task])
    assert [place for place in rows if place not in ranked] == [
        ("all", "model"), ("describe", "model"),
    ]  # fmt: skip
    for (task, by), row in rows.items():
        if task in BY:
            own = {"examples", "token_loss", "token_perplexity", "token_accuracy",
                   "token_bits_per_byte", "tokens"}  # fmt: skip
            has_own = by == "model" and "/" not in task
            assert set(row) == {"task", "row", "n", *FIGURES} | (own if has_own else set())
            assert row["n"] == rows[task, "model"]["n"] > 0
            assert row["left_out"] == rows[task, "model"]["left_out"]
            assert row["coverage"] == row["n"] / (row["n"] + row["left_out"])
            assert row["mrr_all"] == pytest.approx(row["mrr"] * row["coverage"])
            listed = settings_of(model)["candidates"]["skills" if task == "skills" else "titles"]
            assert row["candidates"] == len(listed["names"])


def test_the_table_is_printed_and_says_what_was_left_out(
    model: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(model, words, tmp_path / "t.json")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    for row in found:
        if row["task"] in BY:
            figures = [f"{row[name]:.3f}" for name in FIGURES[:4]]
            shown = [row["task"], row["row"], str(row["n"]), *figures]
            assert shown in [line[:7] for line in lines]
    path = next(row for row in found if (row["task"], row["row"]) == ("path", "model"))
    said = f"path: {path['candidates']} candidates; {path['outside']} targets are none of them;"
    said += f" {path['left_out']} queries with no other target are left out"
    assert said.split() in [line[: len(said.split())] for line in lines]
    assert path["left_out"] > 0


def cases_in(data: CareerDataModule, task: str) -> list[Query]:
    """The questions of a task, from the test records alone."""
    found = []
    for record in data.dataset.fields(TEST, ["titles", "position_title", "skills"]):
        titles, title, skills = (record.get(f, ()) for f in ("titles", "position_title", "skills"))
        if task.startswith("path") and len(titles) > 1:
            found.append(Query({"titles": titles[:-1]}, titles[-1:], titles[-2]))
        elif task == "position" and title and skills:
            found.append(Query({"skills": skills}, (title,), None))
        elif task == "skills" and title and skills:
            found.append(Query({"position_title": title}, skills, None))
    return [case for case in found if task != "path/changed" or case.targets[0] != case.current]


@pytest.mark.parametrize("task", BY)
def test_the_figures_can_be_computed_again(
    rows: dict[tuple[str, str], dict[str, Any]],
    model: Path,
    started: Path,
    data: CareerDataModule,
    task: str,
) -> None:
    rankings = Rankings.load(data.tasks, settings_of(model), model, count_models=True)
    ranking = rankings.by_task[task.partition("/")[0]]
    models = [
        ranking.by(find_model(str(folder)).load(torch.device("cpu"))) for folder in (model, started)
    ]
    places = {name: place for place, name in enumerate(ranking.candidates.names)}
    cases = cases_in(data, task)
    inside = [case for case in cases if places.keys() & set(case.targets)]
    ranked = ranking.log_probabilities(models[0], [case.known for case in inside])
    scores = models[1].scores([models[1].read(case.known) for case in inside])
    ranked["baseline"] = log_softmax(scores, axis=1)
    for by, peer in strong_peers(ranking.count_models).items():
        ranked[by] = peer.log_probabilities([case.known for case in inside])
    for by in BY[task]:
        row = rows[task, by]
        assert (row["n"], row["left_out"]) == (len(inside), len(cases) - len(inside))
        assert row["outside"] == sum(t not in places for case in cases for t in case.targets)
        reciprocal, first, nats = [], [], []
        for case, logs in zip(inside, ranked[by], strict=True):
            shares = np.exp(logs)
            if task == "path/changed" and case.current in places:
                shares[places[case.current]] = 0
            shares /= shares.sum()
            own = [shares[places[t]] for t in case.targets if t in places]
            # Tied candidates share their ranks.
            ranks = [(shares > p).sum() + ((shares == p).sum() + 1) / 2 for p in own]
            reciprocal.append(1 / min(ranks))
            first.append(np.mean([rank <= 1 for rank in ranks]))
            nats.append(-np.mean(np.log(own)))
        if task != "skills":  # Ties between several targets are for the laws of ranks.
            assert row["mrr"] == pytest.approx(np.mean(reciprocal), rel=1e-4), by
        assert row["recall@1"] == pytest.approx(np.mean(first), abs=1e-6), by
        assert row["loss"] == pytest.approx(np.mean(nats), rel=1e-4), by
        assert row["perplexity"] == pytest.approx(math.exp(np.mean(nats)), rel=1e-3), by


def test_the_model_learned_to_rank_what_its_start_could_not(
    rows: dict[tuple[str, str], dict[str, Any]],
) -> None:
    for task in ("path", "position"):
        assert rows[task, "model"]["loss"] < rows[task, "baseline"]["loss"] - 0.1


def test_as_many_records_are_ranked_as_asked(
    model: Path, words: list[str], tmp_path: Path, data: CareerDataModule
) -> None:
    few = measured(model, words, tmp_path / "few.json", "--queries=3")
    found = {(row["task"], row["row"]): row for row in few}
    for task in ("path", "position", "skills"):
        assert len(cases_in(data, task)) > 3
        assert {row["n"] + row["left_out"] for (t, _), row in found.items() if t == task} == {3}
    none = measured(model, words, tmp_path / "none.json", "--queries=0")
    assert [(row["task"], row["row"]) for row in none] == [
        (task, "model") for task in ("all", "describe", "position", "skills", "path")
    ]
    assert not any("mrr" in row for row in none)
    # The loss of tokens is the same, whatever is ranked.
    of_tokens = {row["task"]: row for row in none}
    for task in ("path", "position", "skills"):
        assert found[task, "model"]["token_loss"] == of_tokens[task]["loss"]
        assert found[task, "model"]["examples"] == of_tokens[task]["n"]


def test_fewer_than_none_is_refused() -> None:
    with pytest.raises(InputError, match="--queries must be 0 or more, found -1"):
        EvaluateRankings(None, -1)
    with pytest.raises(InputError, match="--fairness must be 0 or more, found -2"):
        EvaluateRankings(None, None, -2)


def test_fairness_and_the_rankings_stand_in_the_model_folder_and_its_card_once(
    model: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    before = (folder / "README.md").read_text(encoding="utf-8")
    for queries in (3, 0):
        options = [f"--queries={queries}", "--fairness=4", "--card=true"]
        measured(folder, words, tmp_path / "t.json", *options)
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert card.startswith(before.rstrip())
        assert card.count("fairness      swapped") == card.count("<!-- test -->") == 1
        assert ("coverage" in card) == (queries > 0)
        (table,) = re.findall(r"<!-- test -->.*```\n(.*?)\n```\n<!-- /test -->", card, re.DOTALL)
        assert table in capsys.readouterr().out
    found = rows_in(folder / "fairness.json")
    assert [(row["task"], row["swapped"]) for row in found] == [
        (task, swapped) for task in ("path", "position")
        for swapped in ("all", "names", "pronouns", "ages")
    ]  # fmt: skip
    assert [row["people"] for row in found] == [4, 2, 1, 1] * 2


def test_the_model_s_figures_are_logged(
    model: Path, data: CareerDataModule, rows: dict[tuple[str, str], dict[str, Any]], tmp_path: Path
) -> None:
    trainer = CareerTrainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", default_root_dir=tmp_path,
        use_distributed_sampler=False,
    )  # fmt: skip
    (logged,) = trainer.test(CareerModule(pretrained=str(model)), data)
    for task in BY:
        for name in ("mrr", "recall@1", "recall@5", "recall@10", "map", "calibration_error"):
            figure = logged[f"test/{task}/{name}"]
            assert figure == pytest.approx(rows[task, "model"][name], rel=1e-5)
        perplexity = logged[f"test/{task}/answer_perplexity"]
        assert perplexity == pytest.approx(rows[task, "model"]["perplexity"], rel=1e-5)
    assert logged["test/path/loss"] == pytest.approx(rows["path", "model"]["token_loss"], rel=1e-5)


def test_a_folder_without_candidates_says_so_and_is_tested(
    tiny_gpt2: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = measured(tiny_gpt2, words, tmp_path / "t.json")
    assert [row["task"] for row in found] == ["all", "describe", "position", "skills", "path"]
    assert f"{tiny_gpt2} names no candidates: nothing is ranked" in capsys.readouterr().out


def test_a_checkpoint_brings_no_candidates(
    model: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = model.parent / "checkpoints" / "best.ckpt"
    found = measured(model, words, tmp_path / "t.json", f"--ckpt_path={best}")
    assert not any("mrr" in row for row in found)
    assert "nothing is ranked: candidates are in a model folder" in capsys.readouterr().out


def test_without_its_start_the_baseline_has_no_row(
    model: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    settings = settings_of(model) | {"started_from": str(tmp_path / "gone")}
    (folder / "careergpt.json").write_text(json.dumps(settings))
    found = measured(folder, words, tmp_path / "t.json", "--queries=3")
    assert not any(row["row"] == "baseline" for row in found)
    assert any(row["row"] == "blend" for row in found)
    assert "no row for the untouched baseline: no such model folder" in capsys.readouterr().out


def test_another_table_is_measured_over_the_same_candidates(
    model: Path, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.jsonl"
    careers = [["Nurse", "Diver"], ["Nurse", "senior NURSE"], ["Welder", "Lion tamer", "Poet"]]
    other.write_text("".join(json.dumps({"titles": titles}) + "\n" for titles in careers))
    options = [f"--data.source={other}", "--data.splits=all"]
    found = measured(model, [*words, *options], tmp_path / "t.json")
    path = next(row for row in found if (row["task"], row["row"]) == ("path", "model"))
    assert (path["n"], path["left_out"], path["outside"]) == (1, 2, 2)
    assert path["mrr"] > 0
    # Where nothing that was to be found is a candidate, nothing is known, and that is no crash.
    other.write_text(json.dumps({"titles": ["Nurse", "Diver"]}) + "\n")
    found = measured(model, [*words, *options], tmp_path / "none.json")
    for row in (row for row in found if row["task"].startswith("path")):
        assert (row["n"], row["left_out"], row["mrr"], row["loss"]) == (0, 1, None, None)
    assert {row["row"] for row in found if row["task"] == "path"} == {"model"}
