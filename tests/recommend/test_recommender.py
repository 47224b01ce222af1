"""Laws of an answer: the same for the same person, spelled anyhow, and honest about what it is."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from careergpt.data.names import title_key
from careergpt.data.tasks import DEFAULT_TASKS, Task
from careergpt.errors import InputError
from careergpt.generation.decoding import Generated
from careergpt.generation.sampling import Decoding
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend import matching
from careergpt.recommend import recommender as module
from careergpt.recommend.candidates import Candidates, spelled
from careergpt.recommend.explanation import Explanation
from careergpt.recommend.language_model import LanguageModel, Reading
from careergpt.recommend.notes import how_sure
from careergpt.recommend.occupations import Match, Occupations, Preparation
from careergpt.recommend.people import Person
from careergpt.recommend.predictor import NEEDS
from careergpt.recommend.rankings import Rankings
from careergpt.recommend.recommendation import (
    SHOWN,
    Recommendation,
    SkillToHave,
    as_json,
    as_text,
)
from careergpt.recommend.recommender import Recommender

PERSON = Person("Data analyst", ("SQL", "triage", "lion taming"), ("Data clerk",))
SHORT = Decoding(max_new_tokens=8)
Answer = Callable[..., Recommendation]


@pytest.fixture
def answer(rankings: Rankings, tiny: LoadedModel) -> Answer:
    """A person's answer; other keywords are the recommender's."""

    def answered(
        person: Person,
        tasks: dict[str, Task] = DEFAULT_TASKS,
        known: Rankings = rankings,
        **options: Any,
    ) -> Recommendation:
        known = replace(known, tasks=tasks)
        recommender = Recommender(known, tiny, decoding=SHORT, **options)
        return recommender.answer(recommender.read(person))

    return answered


def test_the_same_person_gets_the_same_answer(answer: Answer) -> None:
    assert answer(PERSON) == answer(PERSON)


def test_a_person_is_read_once(
    rankings: Rankings, tiny: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    recommender = Recommender(rankings, tiny, decoding=SHORT, explain=0)
    expected, asked = recommender.answer(recommender.read(PERSON)), recommender.read(PERSON)
    read: list[str] = []

    def noting(self: LanguageModel, query: dict[str, Any]) -> Reading:
        read.extend(query)
        return once(self, query)

    once = LanguageModel.read
    monkeypatch.setattr(LanguageModel, "read", noting)
    monkeypatch.setattr(matching, "spelled", pytest.fail)
    assert recommender.answer(asked) == expected
    # What positions need is read, and each title once; the person's own career and skills are not.
    assert set(read) <= {"position_title"}


@pytest.mark.parametrize(
    "spelled",
    [
        Person("DATA ANALYST", ("sql", "Triage", "lion taming"), ("data clerk",)),
        Person(" Data-Analyst. ", ("SQL!", " triage ", "lion taming"), ("Data\u00a0Clerk;",)),
    ],
)
def test_case_white_space_and_punctuation_change_no_answer(answer: Answer, spelled: Person) -> None:
    assert answer(spelled) == answer(PERSON)


def test_positions_are_the_likeliest_and_none_that_was_held(
    answer: Answer, rankings: Rankings, tiny: LoadedModel
) -> None:
    found = answer(PERSON, top=4)
    recommender = Recommender(rankings, tiny)
    (shares,) = np.exp(recommender.predictor.log_probabilities(recommender.read(PERSON)))
    by_name = dict(zip(recommender.predictor.titles.names, shares.tolist(), strict=True))
    assert found.candidates == len(by_name)
    listed = {one.title: one.probability for one in found.positions}
    assert list(listed) == sorted(by_name, key=lambda name: -by_name[name])[:4]
    assert listed == pytest.approx({name: by_name[name] for name in listed})
    every = {one.title for one in answer(PERSON, top=99).positions}
    assert every == by_name.keys() - {*PERSON.history, PERSON.position}


def test_skills_of_a_position_are_those_that_one_has_and_those_that_one_lacks(
    answer: Answer, rankings: Rankings, tiny: LoadedModel
) -> None:
    names = rankings.candidates["skills"].names
    for one in answer(PERSON).positions:
        logs = Recommender(rankings, tiny).predictor.skills_of([one.title])[0]
        needed = [names[place] for place in by_relevance(logs, rankings)[:NEEDS]]
        assert one.has == tuple(name for name in needed if name in PERSON.skills)
        assert one.lacks == tuple(name for name in needed if name not in PERSON.skills)
    assert {one.has for one in answer(PERSON).positions} != {()}


def by_relevance(logs: np.ndarray, rankings: Rankings) -> list[int]:
    """0.6 log P(skill | title) + 0.4 log (P(skill | title) / P(skill)), by Sievert and Shirley."""
    counts = np.array(rankings.candidates["skills"].counts) + 1.0
    lift = logs - np.log(counts / counts.sum())
    return np.argsort(-(0.6 * logs + 0.4 * lift), kind="stable").tolist()


def test_what_every_title_asks_for_comes_after_what_is_a_title_s_own(
    answer: Answer, rankings: Rankings
) -> None:
    skills = rankings.candidates["skills"]
    own = answer(PERSON, top=1).skills[0].skill
    counts = tuple(
        10**9 * (name == own) + n for name, n in zip(skills.names, skills.counts, strict=True)
    )
    common = rankings.candidates | {"skills": Candidates(skills.names, counts)}
    found = answer(PERSON, known=replace(rankings, candidates=common), top=1)
    assert found.skills[0].skill != own


@pytest.mark.parametrize("position", ["Data analyst", "Lion tamer", ""])
def test_skills_to_have_are_for_the_position_given_or_the_best_next_one(
    answer: Answer, rankings: Rankings, tiny: LoadedModel, position: str
) -> None:
    found = answer(PERSON._replace(position=position), top=5)
    assert found.skills_for == (position or found.positions[0].title)
    shares = np.exp(Recommender(rankings, tiny).predictor.skills_of([found.skills_for])[0])
    order = by_relevance(np.log(shares), rankings)[:5]
    names = rankings.candidates["skills"].names
    assert [skill.skill for skill in found.skills] == [names[place] for place in order]
    for skill, place in zip(found.skills, order, strict=True):
        has = skill.skill in PERSON.skills
        assert skill == SkillToHave(names[place], pytest.approx(shares[place]), has)
    # What training never named has no qualifications that were learned.
    assert (found.qualifications is None) == (position == "Lion tamer")
    if found.qualifications is not None:
        assert found.qualifications.position == found.skills_for


def test_as_many_positions_are_explained_as_asked(answer: Answer) -> None:
    for number in (0, 1, 4):
        found = answer(PERSON, top=4, explain=number).positions
        assert [bool(one.raised_by) for one in found] == [at < number for at in range(4)]
        assert not any(one.would_raise for one in found[number:])
    plain = answer(PERSON, top=4, explain=0).positions
    assert [(one.title, one.probability) for one in plain] == [
        (one.title, one.probability) for one in found
    ]
    assert {effect.skill for effect in found[0].raised_by} == set(PERSON.skills)
    would = [(one.would_raise.skill, one.lacks) for one in found if one.would_raise]
    assert would
    assert all(skill in lacks[:SHOWN] for skill, lacks in would)


@pytest.mark.parametrize("exact", [False, True])
def test_the_skills_that_are_shown_are_tried_and_all_where_asked(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, exact: bool
) -> None:
    tried: list[Any] = []

    def tries(_: Explanation, lacks: list[Any]) -> list[None]:
        tried.extend(lacks)
        return [None] * len(lacks)

    monkeypatch.setattr(Explanation, "add_one_in", tries)
    found = answer(PERSON, explain=2, exact=exact).positions[:2]
    assert all(len(one.lacks) > SHOWN for one in found)
    assert tried == [one.lacks[: None if exact else SHOWN] for one in found]


def test_a_position_tells_what_it_has_in_common_and_what_is_optional(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    unlikely = [f"baking {n}" for n in range(NEEDS)]
    needed = Recommender(rankings, tiny).predictor.relevant_skills("Data analyst")
    likely = next(name for name in rankings.candidates["skills"].names if name not in needed)
    optional = [*unlikely, "SQL", "tap dancing", likely]
    rows = [{"occupation": "Data analyst", "optional_skills": optional}] * 2
    some = Recommender(
        rankings.with_occupations(rows), tiny, top=len(rankings.candidates["titles"])
    )
    found = some.recommend("Data clerk", "tap dancing")
    predictor = some.predictor
    own, *others = np.exp(predictor.skills_of(["Data clerk", *(o.title for o in found.positions)]))
    for one, skills in zip(found.positions, others, strict=True):
        assert one.in_common == pytest.approx(1 - abs(skills - own).sum() / 2)
        assert bool(one.optional) == (one.title == "Data analyst")
    (analyst,) = (one for one in found.positions if one.optional)
    assert analyst.has == ("tap dancing",)
    assert "SQL" in analyst.lacks  # Many ask for it.
    assert analyst.optional == (likely, *unlikely[:-1])  # A candidate is likelier.
    assert predictor.in_common("Data clerk", ["Data clerk"]) == [pytest.approx(1)]
    text = as_text(found)
    assert f"optional: {likely}, baking 0" in text
    assert f"in common: {found.positions[0].in_common:.0%} of the skills asked for" in text
    own_list = Recommender(some.predictor.rankings.with_titles(STRANGERS), tiny)
    assert own_list.predictor.in_common("Data clerk", STRANGERS.names)[0] is None
    assert own_list.predictor.in_common("Lion tamer", ["Data clerk"]) == [None]
    # Of a title that nobody knows, or none at all, nothing is in common.
    for told in ({"position": "Lion tamer"}, {"skills": "sql"}):
        assert {one.in_common for one in some.recommend(**told).positions} == {None}


STRANGERS = Candidates(("Lion tamer", "Data analyst"), (0, 0))
STRANGE = "is none of the candidates, and what follows goes by its words alone"


def test_unknown_titles_are_said_once_each_before_all_else(answer: Answer) -> None:
    many = tuple(f"made-up skill {n}" for n in range(200))
    found = answer(Person("Lion tamer", many, ("Lion tamer", "Qq", "Welder", "Qq")), explain=0)
    assert found.notes[0].startswith(f"Not known: 'Lion tamer' {STRANGE}")
    assert found.notes[1] == f"Not known: 'Qq' {STRANGE}."
    assert answer(Person("Welder", (), ("data clerk",))).notes == ()
    lines = as_text(found).split("\n\n")
    assert lines[1].startswith("Note: Not known: 'Lion tamer'")
    assert lines[2].startswith("Next positions")


@pytest.mark.parametrize(
    ("title", "known"),
    [
        ("Registred nurse", "Registered nurse"),
        ("Data anaylst", "Data analyst"),
        ("welders", "Welder"),
    ],
)
def test_a_slip_is_said_and_answered_as_what_it_was_to_be(
    answer: Answer, title: str, known: str
) -> None:
    found, meant = answer(Person(title, (), ())), answer(Person(known, (), ()))
    (note,), match = found.notes, found.taken_for[title]
    assert note == f"{title!r} is taken for {known!r} ({match.confidence:.0%} sure)."
    assert (match.occupation, 0.9 <= match.confidence < 1) == (known, True)
    assert found._replace(notes=(), taken_for={}) == meant._replace(notes=())


def test_a_skill_s_slip_is_mended_too_and_counts_once(answer: Answer) -> None:
    found = answer(PERSON._replace(skills=("statistcs", "statistics", "SQL")))
    assert found.person.skills == ("statistics", "SQL")
    assert found.notes == ("'statistcs' is taken for 'statistics' (95% sure).",)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Engineer II", "Engineer III"),
        ("C# developer", "C++ developer"),
        ("Junior accountant", "Senior accountant"),
        ("Java developer", "JavaScript developer"),
        ("Level 2 technician", "Level 3 technician"),
        ("Cook", "Book"),
        ("medication administration", "education administration"),
    ],
)
def test_another_name_is_no_slip(name: str, known: str) -> None:
    assert spelled(name, Candidates.from_lines([known])) == (name, 0)


def test_a_letter_may_be_left_out_of_each_of_several_words() -> None:
    known = "Emergency management director"
    found, like = spelled("Emergncy managment directr", Candidates.from_lines([known]))
    assert found == known
    assert 0.9 <= like < 1


def test_what_is_near_by_its_letters_is_suggested(answer: Answer) -> None:
    told = f"Not known: 'Inspector' {STRANGE}; known are 'Welding inspector'"
    assert any(note.startswith(told) for note in answer(Person("Inspector", (), ())).notes)


@pytest.mark.parametrize(
    "person", [Person("Lion tamer", (), ()), Person("Qq", ("roaring",), ("Zz",))]
)
def test_where_nothing_is_known_that_is_said_first(answer: Answer, person: Person) -> None:
    guess = "Nothing of what is told is known"
    assert answer(person).notes[0].startswith(guess)
    assert answer(person).qualifications is None
    known = answer(person._replace(history=("Welder", *person.history)))
    assert not any(note.startswith(guess) for note in known.notes)


def test_an_answer_like_popularity_is_said_to_say_nothing() -> None:
    popularity = np.log(np.array([0.6, 0.3, 0.1]))
    told = Person("Welder", (), ())
    (note,) = how_sure(popularity + 1e-3, popularity, told)
    assert "says next to nothing" in note
    other = np.log(np.array([0.1, 0.2, 0.7]))
    assert list(how_sure(other, popularity, told)) == []
    assert list(how_sure(popularity, None, told)) == []


def test_unknown_skills_are_said_together(answer: Answer) -> None:
    found = answer(PERSON._replace(skills=("SQL", *"abcdefg")))
    told = "Not known: none of the skills that training saw often is 'a', 'b', 'c', 'd', 'e' …"
    assert sum(note.startswith(told) for note in found.notes) == 1
    assert answer(PERSON._replace(skills=("sql!",))).notes == ()


def test_what_was_not_read_is_said(answer: Answer) -> None:
    many = tuple(f"made-up skill {n}" for n in range(200))
    notes = answer(Person("Welder", many, ("Data clerk",) * 99), explain=0).notes
    assert " titles, the oldest ones, do not fit into the model." in notes[-2]
    assert " skills, the last ones, do not fit into the model." in notes[-1]


WRITTEN = "We are a team.\n\nRequirements:\n- a degree\n- two years in care\n\nBenefits:\n- tea\n"


@pytest.mark.parametrize(
    ("written", "text", "whole"),
    [
        (WRITTEN, "Requirements:\n- a degree\n- two years in care", False),
        ("We sell tea.", "We sell tea.", True),
        ("", "", True),
    ],
)
def test_qualifications_are_cut_to_the_part_that_names_them(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, written: str, text: str, whole: bool
) -> None:
    asked = []

    def write(model: Any, tokenizer: Any, prompts: Any, *options: Any) -> Any:
        asked.extend(prompts)
        return [Generated(0, "", prompts[0].text, written, "end", -1.0, 2, (1, 2))]

    monkeypatch.setattr(module, "generate", write)
    found = answer(PERSON).qualifications
    assert found == ("Data analyst", text, whole)
    assert asked[0].text == "Tell me about the qualifications required for a Data analyst."
    shown = as_text(answer(PERSON))
    assert "(written by the model, " in shown
    assert ("all of its text" in shown) is whole
    assert as_json(answer(PERSON))["qualifications"]["written_by"] == "model"


def test_a_folder_that_was_not_taught_to_describe_writes_none(answer: Answer) -> None:
    tasks = {name: DEFAULT_TASKS[name] for name in ("path", "position", "skills")}
    found = answer(PERSON, tasks=tasks)
    assert found.qualifications is None
    assert found.positions == answer(PERSON).positions
    assert "Qualifications" not in as_text(found)


def test_where_skills_are_not_ranked_none_are_listed(answer: Answer, rankings: Rankings) -> None:
    some = {name: rankings.by_task[name] for name in ("path", "position")}
    found = answer(PERSON, known=replace(rankings, by_task=some))
    assert found.skills == ()
    assert [(one.has, one.lacks) for one in found.positions] == [((), ())] * 10
    assert [one.title for one in found.positions] == [one.title for one in answer(PERSON).positions]


@pytest.mark.parametrize(
    ("kept", "person", "told"),
    [
        ("path", Person("", ("SQL",), ()), "skills"),
        ("position", Person("Welder", (), ()), "careers"),
    ],
)
def test_where_no_ranking_goes_by_what_is_told_that_is_said(
    answer: Answer, rankings: Rankings, kept: str, person: Person, told: str
) -> None:
    some = {name: rankings.by_task[name] for name in (kept, "skills")}
    found = answer(person, known=replace(rankings, by_task=some))
    assert found.positions == ()
    note = f"No positions: the model was not taught to rank them by {told} alone."
    assert note in found.notes
    assert note in as_text(found)
    assert len(found.skills) == (10 if person.position else 0)


def test_where_training_knows_no_title_the_remedy_is_said(
    answer: Answer, rankings: Rankings
) -> None:
    names = {**rankings.candidates, "titles": Candidates()}
    some = {"skills": rankings.by_task["skills"]}
    found = answer(
        Person("Welder", (), ()), known=replace(rankings, candidates=names, by_task=some)
    )
    assert any("lower --data.min_count" in note for note in found.notes)
    assert not any("not taught" in note for note in found.notes)


def test_candidates_that_training_never_saw_are_counted(answer: Answer, rankings: Rankings) -> None:
    known = rankings.with_titles(Candidates.from_lines(["Lion tamer", "Welder", "Diver"]))
    notes = answer(Person("Welder", (), ()), known=known).notes
    assert any(n.startswith("2 of the 3 candidates were never in training") for n in notes)


def test_without_candidates_there_is_nothing_to_recommend(
    rankings: Rankings, tiny: LoadedModel
) -> None:
    nothing = {"titles": Candidates(), "skills": Candidates()}
    with pytest.raises(InputError, match=r"names no candidates: .*--candidates FILE"):
        Recommender(replace(rankings, candidates=nothing, by_task={}), tiny)
    tasks = {"describe": DEFAULT_TASKS["describe"]}
    with pytest.raises(InputError, match=r"taught none of the tasks path, .* knows describe"):
        Recommender(replace(rankings, tasks=tasks, by_task={}), tiny)


@pytest.mark.parametrize(("name", "value"), [("top", 0), ("top", -1), ("explain", -1)])
def test_an_option_out_of_range_is_refused(
    rankings: Rankings, tiny: LoadedModel, name: str, value: int
) -> None:
    with pytest.raises(InputError, match=f"--{name} must be . or more, found {value}"):
        Recommender(rankings, tiny, **{name: value})


@pytest.mark.parametrize(
    "person",
    [
        PERSON,
        Person("<|endoftext|>", ("<|endoftext|>",), ("<|endoftext|>",)),
        Person("", ("SQL",), ()),
        Person("", (), ("Welder",)),
        Person("مهندس برمجيات", ("日本語", "🚀🚀"), ("\u202eWelder",)),
        Person("", tuple(f"skill {n}" for n in range(200)), ()),
    ],
    ids=repr,
)
def test_an_answer_is_text_and_json_that_say_the_same(answer: Answer, person: Person) -> None:
    found = answer(person, top=3, explain=1)
    told = json.loads(json.dumps(as_json(found), ensure_ascii=False, allow_nan=False))
    shown = as_text(found)
    assert [one["title"] for one in told["positions"]] == [one.title for one in found.positions]
    assert len(told["positions"]) == 3
    assert told["skills_for"] == found.skills_for
    for number, one in enumerate(told["positions"], 1):
        assert 0 < one["probability"] <= 1
        assert f"{number:3}. {one['title']}" in shown
        assert f"{one['probability']:6.1%}" in shown
    for skill in told["skills"]:
        assert skill["skill"] in shown
    assert all(note in shown for note in told["notes"])
    own = {title_key(skill) for skill in person.skills}
    assert all((title_key(skill["skill"]) in own) is skill["has"] for skill in told["skills"])


def test_the_end_of_text_in_a_name_ends_nothing(answer: Answer) -> None:
    found = answer(Person("Welder<|endoftext|>", (), ()))
    assert found.positions != answer(Person("Welder", (), ())).positions
    assert found.notes[1].startswith("Not known: 'Welder<|endoftext|>' is none of the cand")


def test_a_title_of_the_taxonomy_is_answered_as_its_occupation(
    answer: Answer, rankings: Rankings
) -> None:
    taxonomy = Occupations({"Welder": ["Metal joiner"], "Data analyst": []})
    known = replace(rankings, occupations=taxonomy)
    found = answer(Person("Metal Joiner", ("rigging",), ()), known=known)
    assert found.positions == answer(Person("Welder", ("rigging",), ())).positions
    assert found.taken_for == {"Metal Joiner": Match("Welder", 1.0)}
    assert "'Metal Joiner' is taken for 'Welder' (100% sure)." in found.notes
    assert as_json(found)["taken_for"]["Metal Joiner"]["occupation"] == "Welder"
    stranger = Person("Zzyzx", ("rigging",), ())
    shared = Occupations({name: ["Joiner"] for name in ("Welder", "Data analyst", "Nurse")})
    known = replace(rankings, occupations=shared)
    found = answer(Person("Joiner", ("rigging",), ()), known=known)
    assert found.taken_for["Joiner"].confidence == pytest.approx(1 / 3)
    assert answer(stranger, known=replace(rankings, occupations=taxonomy)) == answer(stranger)


def test_a_title_of_training_is_known_though_the_user_lists_others(
    answer: Answer, rankings: Rankings
) -> None:
    listed = rankings.with_titles(Candidates.from_lines(["Cook", "Baker"]))
    told = answer(Person("Registred nurse", (), ()), known=listed)
    assert told.taken_for["Registred nurse"].occupation == "Registered nurse"
    assert told.positions == answer(Person("Registered nurse", (), ()), known=listed).positions
    strange = answer(Person("Zzyzx", (), ()), known=listed).notes
    for notes, unknown in ((told.notes, False), (strange, True)):
        assert any("guess by what the words say" in note for note in notes) is unknown
        assert any(note.startswith("Not known") for note in notes) is unknown


def test_a_skill_is_read_as_the_known_one_that_means_the_same(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person("Welder", ("reading of blueprints", "juggling"), ())
    found = answer(person)
    (taken,) = found.taken_for.items()
    assert taken[0] == "reading of blueprints"
    assert taken[1].occupation == "blueprint reading"
    assert matching.SAME <= taken[1].confidence < 1
    meant = answer(Person("Welder", ("blueprint reading", "juggling"), ()))
    assert found.positions == meant.positions
    monkeypatch.setattr(matching, "bundled_model", lambda: None)
    assert not answer(person).taken_for


@pytest.mark.parametrize("wish", ["no blueprint reading", "Without SQL", "not triage"])
def test_what_somebody_does_not_want_is_no_skill(answer: Answer, wish: str) -> None:
    found = answer(Person("Welder", ("rigging", wish), ()))
    assert found.person.skills == ("rigging",)
    assert found.positions == answer(Person("Welder", ("rigging",), ())).positions
    assert any(repr(wish) in note and "says what is not" in note for note in found.notes)
    assert as_json(found)["taken_for"][wish] == {"occupation": "", "confidence": 0, "seniority": ""}
    alone = answer(Person("", (wish,), ()))
    assert not any(alone.person)
    assert not alone.positions
    (note,) = alone.notes
    assert "says what is not" in note


def test_a_skill_whose_name_begins_as_a_denial_does_is_one(answer: Answer) -> None:
    told = ("no-code tools", "non-profit work", "notarial acts", "nothing")
    assert answer(Person("Welder", told, ())).person.skills == told


def test_a_skill_in_words_that_skills_have_is_read_as_it_is_told(answer: Answer) -> None:
    found = answer(Person("Welder", ("reading blueprint", "juggling"), ()))
    assert not found.taken_for
    assert found.person.skills == ("reading blueprint", "juggling")
    told = [note for note in found.notes if "reading blueprint" in note]
    assert told == [
        "Skills read by their words, for training saw none of that name often: 'reading blueprint'."
    ]
    only = answer(Person("", ("reading blueprint",), ()))
    assert not any(note.startswith("Nothing of what is told") for note in only.notes)


def test_an_occupation_is_listed_once_with_its_levels(answer: Answer, rankings: Rankings) -> None:
    names = ["Welder", "Senior welder", "Junior diver", "Diver", "Diver II", "Cook"]
    known = rankings.with_titles(Candidates.from_lines(names))
    found = answer(Person("Welder", (), ()), known=known, explain=0).positions
    assert {frozenset([one.title, *one.levels]) for one in found} == {
        frozenset(["Senior welder"]), frozenset(["Junior diver", "Diver", "Diver II"]),
        frozenset(["Cook"]),
    }  # fmt: skip
    shares = [share for one in found for share in (one.probability, *one.levels.values())]
    assert sum(shares) == pytest.approx(1)
    assert all(one.probability >= max(one.levels.values(), default=0) for one in found)
    (diver,) = (one for one in found if one.levels)
    assert f"levels: {next(iter(diver.levels))}" in as_text(
        answer(Person("Welder", (), ()), known=known, explain=0)
    )


def test_what_a_position_takes_is_shown_where_it_is_known(
    answer: Answer, rankings: Rankings
) -> None:
    takes = Preparation("4", "Bachelor's degree")
    known = rankings.with_occupations([{"occupation": "Data scientist", **takes._asdict()}])
    found = answer(PERSON, known=known)
    assert {one.title for one in found.positions if any(one.preparation)} == {"Data scientist"}
    assert "takes: job zone 4; Bachelor's degree" in as_text(found)
    told = {one["title"]: one["preparation"] for one in as_json(found)["positions"]}
    assert told["Data scientist"] == takes._asdict()
