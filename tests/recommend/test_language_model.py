"""Laws of the question with a gap: filled in, it is what training showed, and scored exactly."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2LMHeadModel, PreTrainedTokenizerFast

from careergpt.data.tasks import DEFAULT_TASKS, Fields, PromptForm, Task, prompt_completion, text_of
from careergpt.data.tokens import Example, encode, encode_prompts, encode_texts, load_tokenizer
from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.candidates import TARGET, Candidates
from careergpt.recommend.language_model import (
    CandidateText,
    LanguageModel,
    candidate_text,
    neutral_text,
)

PATH, POSITION, SKILLS = (DEFAULT_TASKS[name] for name in ("path", "position", "skills"))
LISTS = [
    ("path", PATH),
    ("path", Task("Career:", "{titles: > }")),
    ("path", Task("Career: {titles[0]} ", "| {titles[1:]: | }.")),
    ("path", Task("Career: {titles[0]}", "({titles[1:]:/})")),
    ("path", Task("Career: {titles[0]}", "to {titles[1:]:\n}")),
    ("skills", SKILLS),
    ("skills", Task("{position_title}\n", "{skills}")),
    ("skills", Task("A {position_title}:", "{skills:; }.")),
    ("skills", Task("A {position_title}:", "{skills:. }.")),
    ("skills", Task("A {position_title}:", "knows {skills:|}")),
    ("skills", Task("", "{position_title} > {skills}")),
]
SINGLES = [
    ("position", POSITION),
    ("position", Task("Skills: {skills:; }", "{skills[0]} -> {position_title}.")),
    ("position", Task("{skills}\n", "{position_title}")),
    ("position", Task("{skills}", "\n\n{position_title}\n({skills[0]})")),
    ("position", Task("", "{skills} >  {position_title}")),
    ("path", Task("Career: {titles[:-1]: > }", "> {titles[-1]}")),
    ("path", Task("Career: {titles[0]}", "{titles[0]} then {titles[-1]}!")),
]
TITLES = ["Nurse", "Registered nurse", "Nurse manager", "Welder", "C++ developer", "Data scientist"]
NAMES = [*TITLES, "C#", "C++", ".NET", "RN (ICU)", "R&D", "l'avocat", "日本 語", "🚀", "a" * 50]

names = st.sampled_from(NAMES)
words = st.sampled_from([name for name in NAMES if name[-1].isalnum() and name[0] not in ".("])
lists = st.lists(names, min_size=1, max_size=5).map(tuple)


def known_to(name: str, items: tuple[str, ...], title: str) -> dict[str, Any]:
    """What a question of the ranking shows."""
    known: dict[str, dict[str, Any]] = {
        "path": {"titles": items},
        "position": {"skills": items},
        "skills": {"position_title": title},
    }
    return known[name]


def with_answer(name: str, known: Fields, *answers: str) -> dict[str, Any]:
    """The record that the question was made of."""
    field = TARGET[name]
    before = known.get(field, ())
    return {**known, field: answers[0] if name == "position" else (*before, *answers)}


def example(
    tokenizer: PreTrainedTokenizerFast, name: str, task: Task, fields: Fields
) -> tuple[str, Example]:
    """What training makes of a record: its text and its tokens."""
    pair = prompt_completion(name, task, fields)
    assert pair is not None
    found = encode([pair], tokenizer, 10_000, frozenset(TARGET.values()))[0]
    assert isinstance(found, Example)
    return text_of((*pair.prompt, *pair.completion)), found


def filled(
    tokenizer: PreTrainedTokenizerFast, asked: CandidateText, *answers: str
) -> tuple[str, Any]:
    """The gap filled, as a text and as tokens."""
    first, *others = answers
    after = [text for other in others for text in (str(asked.next_item), asked.lead + other)]
    texts = [asked.lead + first, *after, asked.rest]
    ids = [id for text in encode_texts(tokenizer, texts) for id in text]
    return text_of((*asked.prompt, *asked.before)) + "".join(texts), [
        *before_of(tokenizer, asked), *ids, tokenizer.eos_token_id,
    ]  # fmt: skip


def before_of(tokenizer: PreTrainedTokenizerFast, asked: CandidateText) -> list[int]:
    """The tokens before the gap."""
    (question,) = encode_prompts(tokenizer, [asked.prompt])
    started = encode_texts(tokenizer, [piece.text for piece in asked.before])
    return [*question, *(id for ids in started for id in ids)]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(LISTS), lists, names, lists)
def test_a_list_goes_on_with_a_candidate_as_in_training(
    tokenizer: PreTrainedTokenizerFast,
    which: tuple[str, Task],
    items: tuple[str, ...],
    title: str,
    answers: tuple[str, ...],
) -> None:
    known = known_to(which[0], items, title)
    asked = candidate_text(*which, known)
    assert asked is not None
    text, trained = example(tokenizer, *which, with_answer(which[0], known, *answers))
    assert filled(tokenizer, asked, *answers) == (text, trained.token_ids)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SINGLES), lists, words)
def test_one_answer_is_asked_for_as_in_training(
    tokenizer: PreTrainedTokenizerFast,
    which: tuple[str, Task],
    items: tuple[str, ...],
    answer: str,
) -> None:
    known = known_to(which[0], items, "")
    asked = candidate_text(*which, known)
    assert asked is not None
    assert asked.next_item is None
    text, trained = example(tokenizer, *which, with_answer(which[0], known, answer))
    assert filled(tokenizer, asked, answer) == (text, trained.token_ids)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(["path", "position", "skills"]), lists, names, names)
def test_no_name_s_marks_change_the_default_questions(
    tokenizer: PreTrainedTokenizerFast, name: str, items: tuple[str, ...], title: str, answer: str
) -> None:
    known, task = known_to(name, items, title), DEFAULT_TASKS[name]
    asked = candidate_text(name, task, known)
    assert asked is not None
    text, trained = example(tokenizer, name, task, with_answer(name, known, answer))
    assert filled(tokenizer, asked, answer) == (text, trained.token_ids)


@pytest.mark.parametrize(
    ("which", "known"),
    [
        (("path", PATH), {}),
        (("path", PATH), {"skills": ("sql",)}),
        (("position", POSITION), {"skills": ()}),
        (("skills", SKILLS), {"position_title": ""}),
        (("path", Task("From {titles[0]} by {titles[1]}:", "{titles[2:]}")), {"titles": ("a",)}),
    ],
)
def test_what_asks_for_more_than_is_known_is_no_question(
    which: tuple[str, Task], known: Fields
) -> None:
    assert candidate_text(*which, known) is None


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("path", Task("To {titles[-1]}:", "{titles: > }")),
        ("position", Task("{skills} of a {position_title}:", "{position_title}")),
        ("position", Task("{skills}:", "{position_title}, yes, {position_title}")),
        ("position", Task("{skills} of a {position_title}:", "yes")),
    ],
)
def test_a_question_that_gives_the_answer_away_is_no_question(name: str, task: Task) -> None:
    known = known_to(name, ("a", "b"), "c")
    assert candidate_text(name, task, known) is None


def test_an_answer_cannot_be_known() -> None:
    with pytest.raises(ValueError, match="cannot be known"):
        candidate_text("position", POSITION, {"skills": ("a",), "position_title": "b"})


def test_the_neutral_text_is_the_tasks_own_words() -> None:
    def texts(task: Task, *form: Any) -> tuple[str, ...]:
        return tuple(map(text_of, neutral_text(task, *form)))

    assert texts(PATH) == ("Career path:", " >")
    assert texts(PATH, "newline") == ("Career path:", ">")
    assert texts(POSITION) == ("Which position suits someone skilled in ?", "")
    assert texts(SKILLS) == ("Which skills does a  need?", "")
    assert texts(Task("{skills}", "{position_title}")) == ("", "")
    assert texts(Task("{skills}\n", "> {position_title}")) == ("", " >")


CANDIDATES = Candidates(tuple(TITLES), (5,) * len(TITLES))
ABILITIES = Candidates(("SQL", "statistics", "data cleaning", "C++", "C"), (5,) * 5)


@pytest.fixture(scope="module")
def library_s(tiny: LoadedModel) -> GPT2LMHeadModel:
    """The library's own class with the same weights, its attention its own."""
    own = GPT2LMHeadModel(tiny.model.config).eval()
    own.load_state_dict(tiny.model.state_dict())
    own.set_attn_implementation("eager")
    return own


def nats(model: GPT2LMHeadModel, ids: list[int], start: int, end: int) -> float:
    """log P of the tokens from start to end after those before them, read whole and alone."""
    with torch.no_grad():
        logits = model(torch.tensor([ids[:end]])).logits[0].double().log_softmax(-1)
    return sum(float(logits[at - 1, ids[at]]) for at in range(start, end))


def one_by_one(
    model: GPT2LMHeadModel,
    tokenizer: PreTrainedTokenizerFast,
    which: tuple[str, Task],
    known: Fields,
    answer: str,
) -> float:
    """log P(answer, then a separator or the end), from training's own examples alone."""
    _, ended = example(tokenizer, *which, with_answer(which[0], known, answer))
    ids = ended.token_ids
    if which[0] == "position":
        return nats(model, ids, ended.n_prompt, len(ids))
    start = ended.items[-2]
    _, more = example(tokenizer, *which, with_answer(which[0], known, answer, "x"))
    followed = nats(model, more.token_ids, start, more.items[-2])
    return float(np.logaddexp(nats(model, ids, start, len(ids)), followed))


@pytest.mark.parametrize("which", [*LISTS[:8], LISTS[9], ("position", POSITION)], ids=repr)
def test_scores_are_those_of_training_s_examples_one_by_one(
    tiny: LoadedModel, library_s: GPT2LMHeadModel, which: tuple[str, Task]
) -> None:
    ranked = ABILITIES if which[0] == "skills" else CANDIDATES
    queries = [
        known_to(which[0], items, items[0])
        for items in (("Nurse",), ("Data scientist", "🚀", "C++ developer"), ("a", "b"))
    ]
    expected = [
        [one_by_one(library_s, tiny.tokenizer, which, known, name) for name in ranked.names]
        for known in queries
    ]
    model = LanguageModel(*which, ranked, tiny)
    found = model.scores(list(map(model.read, queries)))
    assert found == pytest.approx(np.array(expected), abs=1e-4)
    assert np.ptp(found, axis=1).min() > 1


def test_where_the_end_begins_as_a_separator_does_both_are_one_event(
    tiny: LoadedModel, library_s: GPT2LMHeadModel
) -> None:
    task, known = Task("A {position_title}:", "{skills:. }."), {"position_title": "Nurse"}
    model = LanguageModel("skills", task, ABILITIES, tiny)
    (found,) = model.scores([model.read(known)])
    for name, score in zip(ABILITIES.names, found, strict=True):
        _, ended = example(tiny.tokenizer, "skills", task, {**known, "skills": (name,)})
        ids, (start, end) = ended.token_ids, ended.items
        assert len(ids) == end + 2
        assert score == pytest.approx(nats(library_s, ids, start, end + 1), abs=1e-4)


def test_neutral_scores_are_those_after_the_tasks_own_words(
    tiny: LoadedModel, library_s: GPT2LMHeadModel
) -> None:
    found = LanguageModel("position", POSITION, CANDIDATES, tiny).neutral
    (asked,) = encode_prompts(tiny.tokenizer, [neutral_text(POSITION)[0]])
    for name, score in zip(TITLES, found, strict=True):
        (ids,) = encode_texts(tiny.tokenizer, [f" {name}"])
        whole = [*asked, *ids, tiny.tokenizer.eos_token_id]
        assert score == pytest.approx(nats(library_s, whole, len(asked), len(whole)), abs=1e-4)


@pytest.mark.parametrize("form", get_args(PromptForm))
def test_a_ranking_reads_what_training_shows_before_a_candidate_in_each_form(
    tiny: LoadedModel, form: PromptForm
) -> None:
    own = load_tokenizer(tiny.tokenizer.name_or_path)
    own.chat_template = "<user>{{ messages[0].content }}</user>"
    asked = tiny._replace(tokenizer=own, form=form)
    for name, known, ranked in (
        ("position", {"skills": ("SQL", "C++")}, CANDIDATES),
        ("path", {"titles": ("Nurse", "Welder")}, CANDIDATES),
        ("skills", {"position_title": "Welder"}, ABILITIES),
    ):
        model = LanguageModel(name, DEFAULT_TASKS[name], ranked, asked)
        read = model.read(known).token_ids
        for candidate, leaves in zip(ranked.names, model._trie.leaves, strict=True):
            record = with_answer(name, known, candidate)
            pair = prompt_completion(name, DEFAULT_TASKS[name], record, form)
            assert pair is not None
            [shown] = encode([pair], own, 1000)
            assert isinstance(shown, Example)
            ways = [[*model._trie.path_to(int(leaf)), int(leaf)][1:] for leaf in leaves]
            assert tuple(shown.token_ids) in [
                (*read, *model._trie.tokens[way].tolist()) for way in ways
            ]


def fitted(model: LanguageModel, query: Fields) -> Fields | None:
    """What the model reads of the query; None: nothing."""
    try:
        return model.read(query).known
    except InputError:
        return None


def room(tiny: LoadedModel, asked: CandidateText, ranked: Candidates) -> int:
    """Tokens that are left beside a prompt and the longest candidate with what ends it."""
    longest = max(map(len, encode_texts(tiny.tokenizer, [f" {name}" for name in ranked.names])))
    return tiny.context - len(before_of(tiny.tokenizer, asked)) - longest - 1


ITEMS = [
    "Nurse",
    "C++ developer",
    "🚀 pilot",
    "日本 語 teacher",
    "Senior registered nurse of wards",
]


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([("path", PATH, -1), ("position", POSITION, 1)]),
    st.lists(st.sampled_from(ITEMS), min_size=1, max_size=150).map(tuple),
)
def test_as_much_is_kept_as_fits(
    tiny: LoadedModel, which: tuple[str, Task, int], items: tuple[str, ...]
) -> None:
    name, task, side = which
    field = "titles" if name == "path" else "skills"
    model = LanguageModel(name, task, CANDIDATES, tiny)
    reading = model.read({field: items})
    kept = reading.known
    number = len(kept[field])
    # A career's latest titles, and the first of the skills.
    assert kept == {field: items[-number:] if side < 0 else items[:number]}

    def left(number: int) -> int:
        some = items[-number:] if side < 0 else items[:number]
        asked = candidate_text(name, task, {field: some})
        assert asked is not None
        return room(tiny, asked, CANDIDATES)

    assert left(number) >= 0
    assert number == len(items) or left(number + 1) < 0
    assert np.isfinite(model.scores([reading])).all()


def test_a_title_is_kept_whole_or_not_at_all(tiny: LoadedModel) -> None:
    model = LanguageModel("skills", SKILLS, ABILITIES, tiny)
    fits = {n: fitted(model, {"position_title": "🚀" * n}) for n in range(1, 60)}
    most = max(n for n, kept in fits.items() if kept is not None)
    assert 10 < most < 59
    assert all(kept == {"position_title": "🚀" * n} for n, kept in fits.items() if n <= most)
    assert all(fits[n] is None for n in fits if n > most)
    asked = [
        candidate_text("skills", SKILLS, {"position_title": "🚀" * n}) for n in (most, most + 1)
    ]
    rooms = [room(tiny, one, ABILITIES) for one in asked if one is not None]
    assert rooms[0] >= 0 > rooms[1]


@pytest.mark.parametrize(("name", "field"), [("path", "titles"), ("position", "skills")])
def test_where_not_one_item_fits_nothing_does(tiny: LoadedModel, name: str, field: str) -> None:
    model = LanguageModel(name, DEFAULT_TASKS[name], CANDIDATES, tiny)
    with pytest.raises(InputError, match="leaves the model no room"):
        model.read({field: ("🚀" * 200,)})
    # The other side of the list is the one that is kept.
    items = ("🚀" * 200, "Nurse") if name == "path" else ("Nurse", "🚀" * 200)
    assert fitted(model, {field: items}) == {field: ("Nurse",)}
    assert fitted(model, {field: items[::-1]}) is None


def test_a_candidate_that_fills_the_context_leaves_room_for_nothing(tiny: LoadedModel) -> None:
    model = LanguageModel("path", PATH, Candidates(("🚀" * 200,), (0,)), tiny)
    assert fitted(model, {"titles": ("Nurse",)}) is None


def test_a_question_of_more_than_is_known_is_said(tiny: LoadedModel) -> None:
    model = LanguageModel("path", PATH, CANDIDATES, tiny)
    with pytest.raises(InputError, match=r"task 'path' asks 'Career path: .*more than is known"):
        model.read({"titles": ()})


def test_an_answer_without_candidates_is_refused(tiny: LoadedModel) -> None:
    with pytest.raises(InputError, match=r"ranks skills, and its completion .* call"):
        LanguageModel("skills", Task("{position_title}?", "{job_description}"), ABILITIES, tiny)
