"""Laws of what a model folder knows: counted on training, chosen on validation, saved."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from careergpt.data.datamodule import DEFAULT_TASKS
from careergpt.data.tasks import Task
from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import AS_SCORED, EXPONENTS, query_nats, said_by_skills
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.knowledge import EXPONENT, FEWEST, Knowledge
from careergpt.recommend.peers import Names

Records = list[dict[str, Any]]
ASKED = {
    "path": [{"titles": ("Welder",)}, {"titles": ("Data clerk", "nobody's")}],
    "position": [{"skills": ("SQL", "unheard of")}, {"skills": ("triage",)}],
    "skills": [{"position_title": "Welder"}, {"position_title": "nobody's"}],
}
SOME = {
    "all": (dict(DEFAULT_TASKS), lambda record: True),
    "no task of skills": (
        {name: DEFAULT_TASKS[name] for name in ("path", "position")}, lambda record: True,
    ),
    "careers alone": (dict(DEFAULT_TASKS), lambda record: "titles" in record),
    "postings alone": (dict(DEFAULT_TASKS), lambda record: "titles" not in record),
}  # fmt: skip


def saved(knowledge: Knowledge, folder: Path) -> dict[str, Any]:
    """The settings as careergpt.json gives them back, the count models in the folder."""
    knowledge.save_peers(folder)
    told: dict[str, Any] = json.loads(json.dumps(knowledge.settings(), allow_nan=False))
    return told


@pytest.mark.parametrize("case", SOME)
def test_what_is_saved_ranks_alike_when_loaded(
    case: str, tiny: LoadedModel, training: Records, unseen: Records, tmp_path: Path
) -> None:
    tasks, wanted = SOME[case]
    first = Knowledge.of(tasks, list(filter(wanted, training)), 2)
    first = replace(first.fit(tiny, list(filter(wanted, unseen)), 30), exponent=0.8)
    again = Knowledge.load(tasks, saved(first, tmp_path), tmp_path, peers=True)
    assert again.settings() == first.settings()
    assert (again.names, again.exponent) == (first.names, 0.8)
    assert list(again.rankings) == list(first.rankings)
    for name, ranking in first.rankings.items():
        reader = first.reader(name, tiny)
        expected = ranking.rank(reader, ASKED[name])
        found = again.rankings[name].rank(again.reader(name, tiny), ASKED[name])
        assert list(found) == list(expected)
        for by, logs in found.items():
            assert (logs == expected[by]).all(), by


def test_only_what_records_name_is_ranked(training: Records) -> None:
    careers = [record for record in training if "titles" in record]
    assert set(Knowledge.of(DEFAULT_TASKS, careers, 2).rankings) == {"path"}
    others = [record for record in training if "titles" not in record]
    assert set(Knowledge.of(DEFAULT_TASKS, others, 2).rankings) == {"position", "skills"}
    assert Knowledge.of(DEFAULT_TASKS, training, 1000).rankings == {}
    assert Knowledge.of(DEFAULT_TASKS, [], 1).rankings == {}


def test_positions_and_careers_have_one_list_of_titles(training: Records) -> None:
    counted = Knowledge.of(DEFAULT_TASKS, training, 3)
    titles = [
        {*record.get("titles", ()), *filter(None, [record.get("position_title")])}
        for record in training
    ]
    counts = dict(zip(counted.names.titles.names, counted.names.titles.counts, strict=True))
    every = {title for some in titles for title in some}
    having = {title: sum(title in some for some in titles) for title in every}
    assert counts == {title: n for title, n in having.items() if n >= 3}
    assert counted.rankings["path"].candidates == counted.rankings["position"].candidates
    # The one that both kinds of table name is counted in both.
    assert counts["Welder"] > sum(r.get("position_title") == "Welder" for r in training)


def test_popularity_is_of_what_each_ranking_asks_for(counted: Knowledge, training: Records) -> None:
    answers = {
        "path": [title for r in training for title in r.get("titles", ())[1:]],
        "position": [r["position_title"] for r in training if "position_title" in r],
        "skills": [skill for r in training for skill in r.get("skills", ())],
    }
    for name, found in answers.items():
        ranking = counted.rankings[name]
        counts = [1 + found.count(title) for title in ranking.candidates.names]
        shares = np.exp(ranking.peers["popularity"].log_probabilities(()))
        assert shares == pytest.approx(np.array(counts) / sum(counts))


def test_a_folder_that_names_no_candidates_knows_nothing(tmp_path: Path) -> None:
    assert Knowledge.load(DEFAULT_TASKS, {}, tmp_path, peers=True).rankings == {}


def test_before_validation_nothing_is_chosen(counted: Knowledge) -> None:
    assert counted.exponent == EXPONENT == 0.5
    for ranking in counted.rankings.values():
        assert (ranking.calibration, ranking.blend) == (AS_SCORED, None)


def at(*keys: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Puts a value there."""

    def damage(settings: dict[str, Any]) -> None:
        for key in keys[:-1]:
            settings = settings[key]
        settings[keys[-1]] = value

    return damage


DAMAGED = {
    "candidates of nothing": at("candidates", value=None),
    "a list of candidates": at("candidates", value=["Nurse"]),
    "a list of titles": at("candidates", "titles", value=["Nurse"]),
    "titles that are numbers": at("candidates", "titles", "names", value=list(range(12))),
    "titles in another place": at("candidates", "titles", value={"titles": ["Nurse"]}),
    "one count for all titles": at("candidates", "titles", "counts", value=[5]),
    "counts that are texts": at("candidates", "skills", "counts", value=["5"] * 13),
    "two titles that are one": at(
        "candidates", "titles", value={"names": ["C#", "c#"], "counts": [5, 5]}
    ),
    "fewer titles than were counted": at(
        "candidates", "titles", value={"names": ["Welder"], "counts": [5]}
    ),
    "a calibration of numbers": at("calibration", value=[1, 2]),
    "a calibration without a temperature": at("calibration", "path", value={"surface": 0}),
    "a temperature of words": at("calibration", "path", "temperature", value="warm"),
    "a temperature of 0": at("calibration", "path", "temperature", value=0),
    "a surface that is no number": at("calibration", "skills", "surface", value=float("nan")),
    "a blend with nobody": at("blend", "path", "peer", value="nobody"),
    "a blend with another ranking's peer": at("blend", "path", "peer", value="neighbours"),
    "a weight of words": at("blend", "path", "weight", value="most"),
    "a weight above 1": at("blend", "position", "weight", value=1.5),
    "a blend that is a list": at("blend", "path", value=["markov", 0.5]),
    "an exponent of words": at("exponent", value="half"),
    "an exponent of nothing": at("exponent", value=None),
    "an exponent beyond all numbers": at("exponent", value=10**400),
    "a surface beyond all numbers": at("calibration", "skills", "surface", value=10**400),
    "an exponent of 0": at("exponent", value=0),
    "an exponent that is no number": at("exponent", value=float("nan")),
}


@pytest.fixture(scope="module")
def kept(knowledge: Knowledge, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder's count models and its settings as text."""
    folder = tmp_path_factory.mktemp("kept")
    return folder, json.dumps(saved(knowledge, folder))


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_settings_are_said_in_one_line(case: str, kept: tuple[Path, str]) -> None:
    folder, text = kept
    settings = json.loads(text)
    Knowledge.load(DEFAULT_TASKS, settings, folder, peers=True)
    DAMAGED[case](settings)
    with pytest.raises(InputError) as caught:
        Knowledge.load(DEFAULT_TASKS, settings, folder, peers=True)
    assert len(str(caught.value).splitlines()) == 1
    assert str(folder) in str(caught.value)
    assert "again" in str(caught.value) or "one model" in str(caught.value)


TABLES = ["path/popularity.npz", "path/markov.npz", "position/neighbours_words.npz",
          "position/neighbours_positions.npz", "skills/by_title.npz"]  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "another's"])
def test_damaged_tables_are_named_in_one_line(
    table: str, how: str, kept: tuple[Path, str], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(kept[0], folder)
    path = folder / "peers" / table
    content = path.read_bytes()
    path.unlink()
    other = folder / "peers" / ("skills/popularity.npz" if "skills" not in table else TABLES[2])
    left = {"empty": b"", "cut": content[: len(content) // 2], "another's": other.read_bytes()}
    if how in left:
        path.write_bytes(left[how])
    with pytest.raises(InputError) as caught:
        Knowledge.load(DEFAULT_TASKS, json.loads(kept[1]), folder, peers=True)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path.parent) in str(caught.value)


def test_without_count_models_the_model_ranks_alike(
    knowledge: Knowledge, tiny: LoadedModel, kept: tuple[Path, str]
) -> None:
    settings = json.loads(kept[1])
    # They are not read: where they lie does not matter, and a blend with one is nobody's.
    alone = Knowledge.load(DEFAULT_TASKS, settings, kept[0] / "nowhere", peers=False)
    for name, ranking in knowledge.rankings.items():
        found = alone.rankings[name].rank(alone.reader(name, tiny), ASKED[name])
        assert list(found) == ["model"]
        expected = ranking.rank(knowledge.reader(name, tiny), ASKED[name])["model"]
        assert (found["model"] == expected).all()


def test_a_choice_is_made_on_the_first_records_alone(
    counted: Knowledge, tiny: LoadedModel, unseen: Records
) -> None:
    # What no candidate answers chooses nothing, and counts for nothing.
    lost = {"titles": ("Welder", "Diver"), "position_title": "Diver", "skills": ("unheard of",)}
    records = [lost, *unseen]
    few = counted.fit(tiny, records, 7)
    for name, ranking in counted.rankings.items():
        reader = counted.reader(name, tiny)
        cases = [one for one in counted.cases(name, records, reader) if ranking.can_answer(one)]
        first, every = ranking.fit(reader, cases[:7]), ranking.fit(reader, cases)
        found = few.rankings[name]
        assert (found.calibration, found.blend) == (first.calibration, first.blend)
        assert (found.calibration, found.blend) != (every.calibration, every.blend)


def test_validation_adds_no_candidate(counted: Knowledge, tiny: LoadedModel) -> None:
    new = [{"titles": ("Welder", "Lion tamer")}, {"titles": ("Lion tamer", "Welder")}] * 9
    assert counted.fit(tiny, new, 500).names == counted.names


def costs(
    knowledge: Knowledge, tiny: LoadedModel, records: Records, exponents: list[float]
) -> list[float]:
    """Nats of the careers' last titles under what careers say times what skills say."""
    path, position = (
        knowledge.rankings[name].ranker(knowledge.reader(name, tiny))
        for name in ("path", "position")
    )
    careers = path([{"titles": r["titles"][:-1]} for r in records])
    skilled = position([{"skills": r["skills"]} for r in records])
    held = [knowledge.names.titles.places_of(r["titles"][:-1]) for r in records]
    skills = np.stack([said_by_skills(*one) for one in zip(skilled, held, strict=True)])
    targets = [[knowledge.names.titles.place(r["titles"][-1])] for r in records]
    return [
        float(query_nats(log_softmax(careers + e * skills, axis=1), targets).mean())
        for e in exponents
    ]


def test_enough_records_that_name_both_choose_the_exponent(
    counted: Knowledge, tiny: LoadedModel, both: Records
) -> None:
    chosen = counted.fit(tiny, both, 500)
    assert chosen.exponent != EXPONENT
    tried = [chosen.exponent, EXPONENT, *np.linspace(*EXPONENTS, 61)]
    own, default, *grid = costs(chosen, tiny, both, tried)
    assert own <= min(grid) + 1e-5
    assert own < default - 1e-3


def test_fewer_records_choose_no_exponent(
    counted: Knowledge, tiny: LoadedModel, both: Records
) -> None:
    assert counted.fit(tiny, both[:FEWEST], 500).exponent != EXPONENT
    # One less, whatever else is there: no skills, no career, a title that is no candidate.
    strange = {**both[0], "titles": (*both[0]["titles"], "Lion tamer")}
    others = [{"titles": both[0]["titles"]}, {"skills": ("SQL",)}, {**both[0], "skills": ()}]
    records = [*both[: FEWEST - 1], *others, strange]
    assert FEWEST == 20
    assert counted.fit(tiny, records, 500).exponent == EXPONENT
    assert counted.fit(tiny, both, FEWEST - 1).exponent == EXPONENT


def test_without_a_ranking_by_careers_there_is_no_exponent_to_choose(
    tiny: LoadedModel, training: Records, both: Records
) -> None:
    tasks = {name: DEFAULT_TASKS[name] for name in ("position", "skills")}
    assert Knowledge.of(tasks, training, 2).fit(tiny, both, 500).exponent == EXPONENT


def test_a_user_s_titles_take_the_place_of_all_titles(
    knowledge: Knowledge, tiny: LoadedModel
) -> None:
    listed = Candidates.listed(["Lion tamer", "Welder", "Diver"])
    found = knowledge.with_titles(listed)
    own = knowledge.names.titles
    # Training saw one of them, and the count says how often.
    listed = replace(listed, counts=(0, own.counts[own.places["welder"]], 0))
    assert found.names == Names(listed, knowledge.names.skills)
    for name in ("path", "position"):
        ranking, before = found.rankings[name], knowledge.rankings[name]
        assert (ranking.candidates, ranking.calibration) == (listed, before.calibration)
        ranked = ranking.rank(found.reader(name, tiny), ASKED[name])
        assert set(ranked) == {"model"}
        assert np.exp(ranked["model"]).sum(axis=1) == pytest.approx(1)
    assert found.rankings["skills"] is knowledge.rankings["skills"]
    assert found.exponent == knowledge.exponent


def test_a_user_s_titles_can_be_ranked_where_nothing_else_is_known(tiny: LoadedModel) -> None:
    nothing = Knowledge.load(DEFAULT_TASKS, {}, Path(), peers=True)
    found = nothing.with_titles(Candidates.listed(["a", "b"]))
    assert set(found.rankings) == {"path", "position"}
    logs = found.rankings["path"].ranker(found.reader("path", tiny))([{"titles": ("a",)}])
    assert np.exp(logs).sum() == pytest.approx(1)


def test_cases_are_cut_to_what_every_reader_reads(knowledge: Knowledge, tiny: LoadedModel) -> None:
    chance = random.Random(0)
    long = tuple(chance.choice(knowledge.names.titles.names) for _ in range(90))
    narrow = tiny._replace(context=48)
    readers = [knowledge.reader("path", model) for model in (tiny, narrow)]
    records = [{"titles": long}, {"titles": ("🚀" * 200, "Welder")}, {"titles": ("a", "Welder")}]
    (wide,) = knowledge.cases("path", records[:1], readers[0])
    both, other = knowledge.cases("path", records, *readers)
    assert other.known == {"titles": ("a",)}
    assert [both, other] == list(knowledge.cases("path", records, *readers[::-1]))
    assert len(both.known["titles"]) < len(wide.known["titles"]) < 89
    assert long[:-1][-len(both.known["titles"]) :] == both.known["titles"]
    assert both.targets == wide.targets == long[-1:]


@pytest.mark.parametrize("name", ["path", "position", "skills"])
def test_a_task_of_a_ranking_s_name_must_answer_with_candidates(
    name: str, training: Records
) -> None:
    tasks = {**DEFAULT_TASKS, name: Task("Write:", "{job_description}")}
    with pytest.raises(InputError, match=f"task '{name}' ranks"):
        Knowledge.of(tasks, training, 2)
