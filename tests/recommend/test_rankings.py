"""Laws of a model folder's rankings: counted on training, chosen on validation, saved."""

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

from careergpt.data.tasks import DEFAULT_TASKS, Task
from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import AS_SCORED, EXPONENTS, query_nats, skill_likelihoods
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.occupations import Match
from careergpt.recommend.predictor import Predictor
from careergpt.recommend.rankings import EXPONENT, FEWEST, OCCUPATIONS, Rankings

Records = list[dict[str, Any]]
ASKED: dict[str, Any] = {
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


def saved(rankings: Rankings, folder: Path) -> dict[str, Any]:
    """The settings as careergpt.json gives them back, the count models in the folder."""
    rankings.save_tables(folder)
    told: dict[str, Any] = json.loads(json.dumps(rankings.settings(), allow_nan=False))
    return told


@pytest.mark.parametrize("case", SOME)
def test_what_is_saved_ranks_alike_when_loaded(
    case: str, tiny: LoadedModel, training: Records, unseen: Records, tmp_path: Path
) -> None:
    tasks, wanted = SOME[case]
    first = Rankings.of(tasks, list(filter(wanted, training)), 2)
    first = replace(first.fit(tiny, list(filter(wanted, unseen)), 30), exponent=0.8)
    again = Rankings.load(tasks, saved(first, tmp_path), tmp_path, count_models=True)
    assert again.settings() == first.settings()
    assert (again.candidates, again.exponent) == (first.candidates, 0.8)
    assert list(again.by_task) == list(first.by_task)
    for name, ranking in first.by_task.items():
        expected = ranking.log_probabilities(ranking.by(tiny), ASKED[name])
        other = again.by_task[name]
        found = other.log_probabilities(other.by(tiny), ASKED[name])
        assert list(found) == list(expected)
        for by, logs in found.items():
            assert (logs == expected[by]).all(), by


def test_the_folder_keeps_what_a_taxonomy_says_of_candidates(
    training: Records, tiny: LoadedModel, tmp_path: Path
) -> None:
    takes = {"job_zone": "2", "education": "High school", "skill_level": "2"}
    lists = {"changes_to": ["Data analyst", "Rare bird"], "optional_skills": ["brazing"]}
    others = {"other_titles": ("Torch hand",), **lists}
    rows = [
        {"occupation": "Welder", "position_title": "Welder", **others},
        {"occupation": "Welder", "position_title": "Metal joiner", **takes},
        {"position_title": "Data analyst", "job_zone": "4"},  # A table without occupations.
        {"position_title": "Nurse"},
        {"occupation": "Rare bird", "position_title": "Rare bird", "job_zone": "5"},
    ]
    first = Rankings.of(DEFAULT_TASKS, training, 2).with_occupations(rows)
    again = Rankings.load(DEFAULT_TASKS, saved(first, tmp_path), tmp_path, count_models=False)
    for rankings in (first, again):
        found = rankings.occupations
        assert found.names == ("Welder", "Data analyst")
        for title in ("METAL JOINER", "Torch hand"):
            assert found.match(title) == Match("Welder", 1.0)
        told = str(Predictor(rankings, tiny).preparation("torch hand"))
        assert told == "job zone 2; High school; skill level 2 (secondary school)"
        for field, some in lists.items():
            assert found.listed(field, "WELDER") == some
            assert not found.listed(field, "Data analyst")
            assert not found.listed(field, "Torch hand")  # No career is of another title.
        assert str(Predictor(rankings, tiny).preparation("Data analyst")) == "job zone 4"
        assert not any(Predictor(rankings, tiny).preparation("Nurse"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"occupation": ', "not JSON"),
        ('{"title": "Welder"}', "is not of the candidates"),
        ('{"occupation": 5, "other_titles": [7]}', "is not of the candidates"),
        ('{"occupation": "Rare bird", "other_titles": ["DA"]}', "is not of the candidates"),
    ],
)
def test_occupations_that_are_damaged_or_of_another_model_are_refused(
    content: str, message: str, training: Records, tmp_path: Path
) -> None:
    settings = saved(Rankings.of(DEFAULT_TASKS, training, 2), tmp_path)
    (tmp_path / OCCUPATIONS).write_text(content)
    with pytest.raises(InputError, match=rf"occupations\.jsonl.*{message}"):
        Rankings.load(DEFAULT_TASKS, settings, tmp_path, count_models=False)


def test_only_what_records_name_is_ranked(training: Records) -> None:
    careers = [record for record in training if "titles" in record]
    assert set(Rankings.of(DEFAULT_TASKS, careers, 2).by_task) == {"path"}
    others = [record for record in training if "titles" not in record]
    assert set(Rankings.of(DEFAULT_TASKS, others, 2).by_task) == {"position", "skills"}
    assert Rankings.of(DEFAULT_TASKS, training, 1000).by_task == {}
    assert Rankings.of(DEFAULT_TASKS, [], 1).by_task == {}


def test_positions_and_careers_have_one_list_of_titles(training: Records) -> None:
    counted = Rankings.of(DEFAULT_TASKS, training, 3)
    titles = [
        {*record.get("titles", ()), *filter(None, [record.get("position_title")])}
        for record in training
    ]
    titles_known = counted.candidates["titles"]
    counts = dict(zip(titles_known.names, titles_known.counts, strict=True))
    every = {title for some in titles for title in some}
    having = {title: sum(title in some for some in titles) for title in every}
    assert counts == {title: n for title, n in having.items() if n >= 3}
    assert counted.by_task["path"].candidates == counted.by_task["position"].candidates
    # The one that both kinds of table name is counted in both.
    assert counts["Welder"] > sum(r.get("position_title") == "Welder" for r in training)


def test_popularity_is_of_what_each_ranking_asks_for(counted: Rankings, training: Records) -> None:
    answers = {
        "path": [title for r in training for title in r.get("titles", ())[1:]],
        "position": [r["position_title"] for r in training if "position_title" in r],
        "skills": [skill for r in training for skill in r.get("skills", ())],
    }
    for name, found in answers.items():
        ranking = counted.by_task[name]
        counts = [1 + found.count(title) for title in ranking.candidates.names]
        (shares,) = np.exp(ranking.count_models["popularity"].log_probabilities([{}]))
        assert shares == pytest.approx(np.array(counts) / sum(counts))


def test_a_folder_that_names_no_candidates_knows_nothing(tmp_path: Path) -> None:
    assert Rankings.load(DEFAULT_TASKS, {}, tmp_path, count_models=True).by_task == {}


def test_before_validation_nothing_is_chosen(counted: Rankings) -> None:
    assert counted.exponent == EXPONENT == 0.5
    for ranking in counted.by_task.values():
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
    "few that are no number": at("few", value={"position": {"two": {}}}),
    "few of nothing": at("few", value={"position": {"2": None}}),
    "few with nobody": at(
        "few",
        value={
            "position": {
                "2": {
                    "calibration": {"surface": 0, "temperature": 1},
                    "blend": {"peer": "x", "weight": 0.5},
                }
            }
        },
    ),
    "an exponent of words": at("exponent", value="half"),
    "an exponent of nothing": at("exponent", value=None),
    "an exponent beyond all numbers": at("exponent", value=10**400),
    "a surface beyond all numbers": at("calibration", "skills", "surface", value=10**400),
    "an exponent of 0": at("exponent", value=0),
    "an exponent that is no number": at("exponent", value=float("nan")),
}


@pytest.fixture(scope="module")
def kept(rankings: Rankings, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder's count models and its settings as text."""
    folder = tmp_path_factory.mktemp("kept")
    return folder, json.dumps(saved(rankings, folder))


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_settings_are_said_in_one_line(case: str, kept: tuple[Path, str]) -> None:
    folder, text = kept
    settings = json.loads(text)
    Rankings.load(DEFAULT_TASKS, settings, folder, count_models=True)
    DAMAGED[case](settings)
    with pytest.raises(InputError) as caught:
        Rankings.load(DEFAULT_TASKS, settings, folder, count_models=True)
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
        Rankings.load(DEFAULT_TASKS, json.loads(kept[1]), folder, count_models=True)
    assert len(str(caught.value).splitlines()) == 1
    assert str(path.parent) in str(caught.value)


def test_without_count_models_the_model_ranks_alike(
    rankings: Rankings, tiny: LoadedModel, kept: tuple[Path, str]
) -> None:
    settings = json.loads(kept[1])
    # They are not read: where they lie does not matter, and a blend with one is nobody's.
    alone = Rankings.load(DEFAULT_TASKS, settings, kept[0] / "nowhere", count_models=False)
    for name, ranking in rankings.by_task.items():
        other = alone.by_task[name]
        found = other.log_probabilities(other.by(tiny), ASKED[name])
        assert list(found) == ["model"]
        expected = ranking.log_probabilities(ranking.by(tiny), ASKED[name])["model"]
        assert (found["model"] == expected).all()


def test_a_choice_is_made_on_the_first_records_alone(
    counted: Rankings, tiny: LoadedModel, unseen: Records
) -> None:
    # What no candidate answers chooses nothing, and counts for nothing.
    lost = {"titles": ("Welder", "Diver"), "position_title": "Diver", "skills": ("unheard of",)}
    records = [lost, *unseen]
    few = counted.fit(tiny, records, 7)
    for name, ranking in counted.by_task.items():
        model = ranking.by(tiny)
        queries = [one for one in counted.queries(name, records, model) if ranking.can_answer(one)]
        first, every = ranking.fit(model, queries[:7]), ranking.fit(model, queries)
        found = few.by_task[name]
        assert (found.calibration, found.blend) == (first.calibration, first.blend)
        assert (found.calibration, found.blend) != (every.calibration, every.blend)


def test_validation_adds_no_candidate(counted: Rankings, tiny: LoadedModel) -> None:
    new = [{"titles": ("Welder", "Lion tamer")}, {"titles": ("Lion tamer", "Welder")}] * 9
    assert counted.fit(tiny, new, 500).candidates == counted.candidates


def costs(
    rankings: Rankings, tiny: LoadedModel, records: Records, exponents: list[float]
) -> list[float]:
    """Nats of the careers' last titles under what careers say times what skills say."""
    path, position = (rankings.by_task[name].by(tiny) for name in ("path", "position"))
    asked = [path.read({"titles": r["titles"][:-1]}) for r in records]
    careers = rankings.by_task["path"].answers(path, asked)
    asked = [position.read({"skills": r["skills"]}) for r in records]
    skilled = rankings.by_task["position"].answers(position, asked)
    titles = rankings.candidates["titles"]
    held = [titles.places_of(r["titles"][:-1]) for r in records]
    skills = np.stack([skill_likelihoods(*one) for one in zip(skilled, held, strict=True)])
    targets = [[titles.place(r["titles"][-1])] for r in records]
    return [
        float(query_nats(log_softmax(careers + e * skills, axis=1), targets).mean())
        for e in exponents
    ]


def test_enough_records_that_name_both_choose_the_exponent(
    counted: Rankings, tiny: LoadedModel, both: Records
) -> None:
    chosen = counted.fit(tiny, both, 500)
    assert chosen.exponent != EXPONENT
    tried = [chosen.exponent, EXPONENT, *np.linspace(*EXPONENTS, 61)]
    own, default, *grid = costs(chosen, tiny, both, tried)
    assert own <= min(grid) + 1e-5
    assert own < default - 1e-3


def test_fewer_records_choose_no_exponent(
    counted: Rankings, tiny: LoadedModel, both: Records
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
    assert Rankings.of(tasks, training, 2).fit(tiny, both, 500).exponent == EXPONENT


def test_a_user_s_titles_take_the_place_of_all_titles(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    listed = Candidates.from_lines(["Lion tamer", "Welder", "Diver"])
    found = rankings.with_titles(listed)
    own = rankings.candidates["titles"]
    # Training saw one of them, and the count says how often.
    listed = replace(listed, counts=(0, own.counts[own.places["welder"]], 0))
    assert found.candidates == {**rankings.candidates, "titles": listed}
    for name in ("path", "position"):
        ranking, before = found.by_task[name], rankings.by_task[name]
        assert (ranking.ranked, ranking.calibration) == (listed, before.calibration)
        model = ranking.by(tiny)
        logs = ranking.answers(model, [model.read(query) for query in ASKED[name]])
        assert logs.shape == (len(ASKED[name]), len(listed))
        assert np.exp(logs).sum(axis=1) == pytest.approx(1)
    assert found.by_task["skills"] is rankings.by_task["skills"]
    assert found.exponent == rankings.exponent


def test_a_user_s_titles_can_be_ranked_where_nothing_else_is_known(tiny: LoadedModel) -> None:
    nothing = Rankings.load(DEFAULT_TASKS, {}, Path(), count_models=True)
    found = nothing.with_titles(Candidates.from_lines(["a", "b"]))
    assert set(found.by_task) == {"path", "position"}
    model = found.by_task["path"].by(tiny)
    logs = model.log_probabilities([model.read({"titles": ("a",)})])
    assert np.exp(logs).sum() == pytest.approx(1)


def test_queries_are_cut_to_what_every_model_reads(rankings: Rankings, tiny: LoadedModel) -> None:
    chance = random.Random(0)
    long = tuple(chance.choice(rankings.candidates["titles"].names) for _ in range(90))
    narrow = tiny._replace(context=48)
    models = [rankings.by_task["path"].by(model) for model in (tiny, narrow)]
    records = [{"titles": long}, {"titles": ("🚀" * 200, "Welder")}, {"titles": ("a", "Welder")}]
    (wide,) = rankings.queries("path", records[:1], models[0])
    both, other = rankings.queries("path", records, *models)
    assert other.known == {"titles": ("a",)}
    assert [both, other] == list(rankings.queries("path", records, *models[::-1]))
    assert len(both.known["titles"]) < len(wide.known["titles"]) < 89
    assert long[:-1][-len(both.known["titles"]) :] == both.known["titles"]
    assert both.targets == wide.targets == long[-1:]


@pytest.mark.parametrize("name", ["path", "position", "skills"])
def test_a_task_of_a_ranking_s_name_must_answer_with_candidates(
    name: str, training: Records
) -> None:
    tasks = {**DEFAULT_TASKS, name: Task("Write:", "{job_description}")}
    with pytest.raises(InputError, match=f"task '{name}' ranks"):
        Rankings.of(tasks, training, 2)
