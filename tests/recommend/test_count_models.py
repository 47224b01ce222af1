"""Laws of the count models."""

import io
import math
import zipfile
from collections import Counter
from collections.abc import Sequence
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

from careergpt.data.names import key_words
from careergpt.data.tasks import Fields
from careergpt.errors import InputError
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.count_models import (
    COUNT_MODELS,
    FALLBACK_DISCOUNT,
    AlikeTitles,
    KneserNey,
    Popularity,
)
from careergpt.recommend.count_tables import CountModel
from careergpt.recommend.position_models import ANY, POWER, PRIOR_VOTES, VOTES, Neighbours, Profiles

TITLES = Candidates(("A", "B", "C", "D"), (5, 5, 5, 5))
SKILLS = Candidates(("arc welding", "C++", "C", "wound care", "SQL", "care plans"), (5,) * 6)
NAMES = {"titles": TITLES, "skills": SKILLS}
MARKOV, POPULARITY, POSITIONS = "markov.npz", "popularity.npz", "neighbours_positions.npz"
HOSTILE = ["", " ", "🚀", "---", "\x00", "日本", "a" * 5000]

titles = st.sampled_from(["A", "a", "B", "C", "D.", "rare", "", "🚀", "---"])
careers = st.lists(st.lists(titles, max_size=5), max_size=15)
skills = st.lists(
    st.sampled_from(["arc welding", "Welding", "C++", "c", "Wound Care", "sql", "fire", "", "🚀"]),
    max_size=4,
)
postings = st.lists(st.tuples(skills, titles), max_size=15)


Postings = Sequence[tuple[Sequence[str], str]]


def chain(
    careers: Sequence[Sequence[str]],
    titles: Candidates = TITLES,
    kind: type[KneserNey] = KneserNey,
) -> CountModel:
    """The Markov chain of the careers."""
    records = [{"titles": tuple(career)} for career in careers]
    return kind.fit("path", {"titles": titles, "skills": SKILLS}, records)


def records_of(postings: Postings) -> list[Fields]:
    return [{"skills": tuple(names), "position_title": title} for names, title in postings]


def by_title(
    postings: Postings,
    titles: Candidates = TITLES,
    skills: Candidates = SKILLS,
    kind: type[KneserNey] = KneserNey,
) -> CountModel:
    return kind.fit("skills", {"titles": titles, "skills": skills}, records_of(postings))


def near(
    postings: Postings, skills: Candidates = SKILLS, titles: Candidates = TITLES
) -> CountModel:
    return Neighbours.fit("position", {"titles": titles, "skills": skills}, records_of(postings))


def popularity(answers: Sequence[str], titles: Candidates = TITLES) -> CountModel:
    postings = [(["sql"], title) for title in answers]
    return Popularity.fit("position", {"titles": titles, "skills": SKILLS}, records_of(postings))


TASK = {"popularity": "position", "markov": "path", "neighbours": "position", "by_title": "skills"}


def load(
    kind: type[CountModel], name: str, folder: Path, names: dict[str, Candidates] = NAMES
) -> CountModel:
    return kind.load(TASK[name], names, folder, name)


def next_titles(model: CountModel, *history: str) -> NDArray[np.float64]:
    return np.exp(model.distribution(history))


def slow_markov(careers: list[list[str]], history: list[str]) -> list[float]:
    """Interpolated Kneser-Ney from dictionaries, title by title."""
    moves: Counter[tuple[int | None, int]] = Counter()

    def latest(titles: list[str]) -> int | None:
        known = [TITLES.place(title) for title in titles]
        return next((place for place in reversed(known) if place is not None), None)

    for career in careers:
        for number in range(1, len(career)):
            place = TITLES.place(career[number])
            if place is not None:
                moves[latest(career[:number]), place] += 1
    return slow_kneser_ney(moves, latest(history), len(TITLES))


def slow_kneser_ney(
    pairs: Counter[tuple[int | None, int]], before: int | None, size: int
) -> list[float]:
    """P(after | before) from a dictionary of counts."""
    once, twice = (sum(n == many for n in pairs.values()) for many in (1, 2))
    discount = once / (once + 2 * twice) if once and twice else FALLBACK_DISCOUNT
    led_from = [1 + sum(after == place for _, after in pairs) for place in range(size)]
    lower = [count / sum(led_from) for count in led_from]
    own = {after: n for (first, after), n in pairs.items() if first == before}
    total = sum(own.values())
    if not total:
        return lower
    handed_down = discount * len(own) / total
    return [
        max(own.get(place, 0) - discount, 0) / total + handed_down * lower[place]
        for place in range(size)
    ]


@given(careers, st.lists(titles, max_size=4))
def test_the_chain_is_kneser_and_neys(careers: list[list[str]], history: list[str]) -> None:
    found = next_titles(chain(careers), *history)
    assert found == pytest.approx(slow_markov(careers, history))


@given(postings, titles)
def test_skills_by_title_are_kneser_and_neys_over_postings(
    postings: list[tuple[list[str], str]], title: str
) -> None:
    pairs: Counter[tuple[int | None, int]] = Counter()
    for names, position in postings:
        pairs.update((TITLES.place(position), place) for place in placed(names))
    found = np.exp(by_title(postings).distribution((title,)))
    assert found == pytest.approx(slow_kneser_ney(pairs, TITLES.place(title), len(SKILLS)))


def placed(names: list[str]) -> set[int]:
    """The candidates that a posting names, each once."""
    return {place for place in map(SKILLS.place, names) if place is not None}


@given(careers, postings, st.lists(titles, max_size=4), skills)
def test_every_count_model_s_probabilities_are_positive_and_sum_to_one(
    careers: list[list[str]],
    postings: list[tuple[list[str], str]],
    history: list[str],
    query: list[str],
) -> None:
    records = [*({"titles": tuple(career)} for career in careers), *records_of(postings)]
    asked = {
        "titles": tuple(history),
        "skills": tuple(query),
        "position_title": "".join(history[:1]),
    }
    for task, models in COUNT_MODELS.items():
        for kind in models.values():
            (logs,) = kind.fit(task, NAMES, records).log_probabilities([asked])
            assert np.isfinite(logs).all()
            assert np.exp(logs).sum() == pytest.approx(1)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_name_breaks_a_peer(hostile: str) -> None:
    strange = Candidates.of([[hostile], ["A"]], 1)
    for names in (TITLES, strange):
        moves = chain([["A", hostile], [hostile, "A"], [hostile]], names)
        votes = near([([hostile], "A"), (["C"], hostile)], names, names)
        popular = popularity([hostile, "A"], names)
        asked = by_title([([hostile], "A"), (["C"], hostile)], names, names)
        assert np.exp(asked.distribution((hostile,))).sum() == pytest.approx(1)
        for peer in (moves, votes, popular):
            assert np.exp(peer.distribution((hostile,))).sum() == pytest.approx(1)


def test_popularity_is_the_share_of_answers_with_one_more_each() -> None:
    popular = popularity(["a", "A", "B", "rare", "a!"])
    assert np.exp(popular.distribution(())) == pytest.approx([4 / 8, 2 / 8, 1 / 8, 1 / 8])


def test_moves_are_followed_and_never_backwards() -> None:
    after_a = next_titles(chain([["A", "B"]] * 9), "A")
    assert after_a.argmax() == 1
    assert after_a[0] == after_a[2]


def test_a_career_of_one_title_and_the_first_of_each_are_no_moves() -> None:
    assert chain([["A"], ["B"]]).tables[""].nnz == 0
    assert chain([["A", "B"], ["C", "D"]]).tables[""].sum() == 2


def test_no_move_runs_from_one_career_into_the_next() -> None:
    moves = chain([["A", "B"], ["C", "D"]]).tables[""].toarray()
    assert sorted(zip(*map(np.ndarray.tolist, moves.nonzero()), strict=True)) == [(0, 1), (2, 3)]


def test_an_unseen_last_title_backs_off_to_the_latest_that_is_known() -> None:
    moves = chain([["A", "B"]] * 5 + [["C", "D"]] * 5)
    assert (next_titles(moves, "A", "rare", "🚀") == next_titles(moves, "A")).all()
    assert (next_titles(moves, "rare", "C") == next_titles(moves, "C")).all()


def test_careers_without_a_known_title_share_what_followed_such() -> None:
    moves = chain([["rare", "B"]] * 5 + [["odd", "B"], ["A", "C"]])
    assert next_titles(moves, "never heard of").argmax() == 1
    assert (next_titles(moves) == next_titles(moves, "")).all()


def test_moves_from_titles_that_are_spelled_alike_count_too() -> None:
    names = Candidates.from_lines(["Chef and Head Cook", "Web Developer", "Baker", "Chef", "Qq"])
    careers = [["Chef and Head Cook", "Baker"], ["Web Developer", "Qq"], ["Baker", "Qq"]]
    moves, alike = chain(careers, names), chain(careers, names, AlikeTitles)
    assert next_titles(moves, "Chef").argmax() == next_titles(moves, "chefs").argmax() == 4
    assert next_titles(alike, "Chef").argmax() == next_titles(alike, "chefs").argmax() == 2
    for unlike in ("🚀", "", "Web developer"):
        assert (next_titles(alike, unlike) == next_titles(moves, unlike)).all()
    assert (next_titles(alike) == next_titles(moves)).all()
    assert (next_titles(chain([], names, AlikeTitles), "Chef") == 1 / 5).all()


def test_a_move_counts_half_the_other_way() -> None:
    names = Candidates.from_lines(["Nurse", "Medic", "Qq", "Xx"])
    careers = [["Medic", "Nurse"]] * 4 + [["Nurse", "Qq"]] * 2 + [["Qq", "Qq"]] * 9
    moves, alike = chain(careers, names), chain(careers, names, AlikeTitles)
    own = next_titles(moves, "Nurse")
    found = next_titles(alike, "Nurse")
    # Two moves and two more of the chain's, and of the four the other way a half.
    assert found == pytest.approx((4 * own + 2 * np.array([0, 1, 0, 0])) / 6)
    stays = 11 * next_titles(moves, "Qq")  # Staying is no way back.
    assert next_titles(alike, "Qq") == pytest.approx((stays + np.array([1, 0, 0, 0])) / 12)


def test_skills_of_titles_that_are_spelled_alike_count_too(tmp_path: Path) -> None:
    names = Candidates.from_lines(["Chef and Head Cook", "Web Developer", "Web Designer"])
    skills = Candidates.from_lines(["grilling", "html", "law"])
    taught = zip(["grilling", "html", "html"], names.names, strict=True)
    postings = [([skill], title) for skill, title in taught]
    own, alike = (by_title(postings, names, skills, kind) for kind in (KneserNey, AlikeTitles))
    assert own.distribution(("Chef",)).argmax() == 1
    assert alike.distribution(("Chef",)).argmax() == 0
    own.save(tmp_path, "by_title")
    kinds = {"titles": names, "skills": skills}
    kept = AlikeTitles.load("skills", kinds, tmp_path, "alike")
    assert (kept.distribution(("Chef",)) == alike.distribution(("Chef",))).all()


def test_a_title_of_many_moves_goes_by_its_own() -> None:
    names = Candidates.from_lines(["Head cook", "Cook", "Baker", "Waiter"])
    for number, first in ((1, 2), (500, 3)):
        careers = [["Head cook", "Baker"]] * 20 + [["Cook", "Waiter"]] * number
        assert next_titles(chain(careers, names, AlikeTitles), "Cook").argmax() == first


def test_below_the_moves_a_title_counts_what_led_to_it_not_how_often() -> None:
    # B always follows A; C follows each of three once: after D, C is likelier.
    moves = chain([["A", "B"]] * 9 + [["A", "C"], ["B", "C"], ["C", "C"]])
    after_d = next_titles(moves, "D")
    assert after_d[2] > after_d[1] > after_d[0]


def remembered(listed: list[str], title: str) -> bool:
    """Whether a posting names skills and a candidate."""
    return bool(listed) and TITLES.place(title) is not None


def slow_neighbours(postings: list[tuple[list[str], str]], query: list[str], k: int) -> list[float]:
    """By scikit-learn's TF-IDF and its NearestNeighbors."""
    kept = [
        (listed, TITLES.place(title)) for listed, title in postings if remembered(listed, title)
    ]
    vectorizer = TfidfVectorizer(
        analyzer=lambda listed: [w.strip("🚀") for skill in listed for w in skill.lower().split()],
        vocabulary=["arc", "welding", "c++", "c", "wound", "care", "sql", "plans"],
        binary=True,
    )
    vectors = vectorizer.fit_transform([listed for listed, _ in kept])
    search = NearestNeighbors(n_neighbors=min(k, len(kept)), metric="cosine").fit(vectors)
    distances, found = search.kneighbors(vectorizer.transform([query]))
    votes = np.array([1.0 + sum(place == at for _, place in kept) for at in range(len(TITLES))])
    votes *= 3 / votes.sum()
    for distance, row in zip(distances[0], found[0], strict=True):
        votes[kept[row][1]] += max(0.0, 1 - distance)
    return (votes / votes.sum()).tolist()


@settings(deadline=None)
@given(postings.filter(lambda some: any(starmap(remembered, some))), skills)
def test_the_votes_are_scikit_learns_neighbours(
    postings: list[tuple[list[str], str]], query: list[str]
) -> None:
    found = near(postings).distribution(tuple(query))
    assert np.exp(found) == pytest.approx(slow_neighbours(postings, query, 50))


def test_only_the_fifty_nearest_vote() -> None:
    # The more words a list has, the farther it is from a query of one: no two are as near.
    words = [f"word{number}" for number in range(80)]
    many = Candidates(("sql", *words), (5,) * 81)
    postings = [(["sql", *words[:n]], "A" if n < 50 else "B") for n in range(80)]
    found = near(postings, many)
    assert isinstance(found, Neighbours)
    expected = _of_votes(found, [found._cosines(["sql"])[:50].sum(), 0, 0, 0])
    assert np.exp(found.distribution(("sql",))) == pytest.approx(expected)


def test_lists_as_near_as_the_last_neighbour_vote_too() -> None:
    postings = [(["sql"], "A")] * 60 + [(["sql"], "B")] * 30 + [(["sql", "wound"], "C")] * 9
    forward, backward = (near(some) for some in (postings, postings[::-1]))
    found = np.exp(forward.distribution(("SQL",)))
    assert found == pytest.approx(_of_votes(forward, [60, 30, 0, 0]))
    assert found == pytest.approx(np.exp(backward.distribution(("SQL",))))


def _of_votes(peer: CountModel, votes: Sequence[float]) -> NDArray[np.float64]:
    listed = 1 + peer.tables["_positions"].sum(axis=0)
    shares: NDArray[np.float64] = np.array(votes) + PRIOR_VOTES * listed / listed.sum()
    return shares / shares.sum()


def slow_profiles(postings: list[tuple[list[str], str]], query: list[str]) -> list[float]:
    """Bayes' rule over the words of each title's lists, from dictionaries, without the votes."""
    vocabulary = {w for name in SKILLS.names for w in key_words(name)}
    said = {title: Counter[str]() for title in TITLES.names}
    listed = Counter[str]()
    for names, title in postings:
        if remembered(names, title):
            known = TITLES.names[TITLES.places_of([title])[0]]
            listed[known] += 1
            said[known].update({w for name in names for w in key_words(name)} & vocabulary)
    every = sum(said.values(), Counter[str]())
    total = sum(every.values()) + len(vocabulary)
    logs = []
    for title in TITLES.names:
        log = math.log(listed[title] + 1)
        for word in {w for name in query for w in key_words(name)} & vocabulary:
            share = said[title][word] / max(1, sum(said[title].values()))
            log += POWER * math.log((1 - ANY) * share + ANY * (every[word] + 1) / total)
        logs.append(log)
    return [math.exp(log) / sum(map(math.exp, logs)) for log in logs]


@settings(deadline=None)
@given(postings.filter(lambda some: any(starmap(remembered, some))), skills)
def test_profiles_are_the_votes_and_bayes_rule_over_all_lists(
    postings: list[tuple[list[str], str]], query: list[str]
) -> None:
    found = Profiles.fit("position", NAMES, records_of(postings)).distribution(tuple(query))
    votes = np.exp(near(postings).distribution(tuple(query)))
    expected = VOTES * votes + (1 - VOTES) * np.array(slow_profiles(postings, query))
    assert np.exp(found) == pytest.approx(expected)


def test_all_lists_of_a_title_say_more_than_one_that_is_near_by_chance() -> None:
    lists: Postings = [(["arc welding", "c"], "A"), (["wound care", "c"], "A")] * 5
    lists += [(["arc welding"], "B"), *[(["SQL"], "B")] * 9]
    asked = ("arc welding", "wound care")
    expected = slow_profiles(lists, list(asked))
    assert expected[0] > expected[1]
    assert Profiles.fit("position", NAMES, records_of(lists)).distribution(asked).argmax() == 0


@pytest.mark.parametrize("query", [[], ["fire"], ["🚀", ""]])
def test_skills_that_nobody_lists_fall_back_to_popularity(query: list[str]) -> None:
    postings = [(["sql"], "A"), (["sql"], "A"), (["C++"], "B")]
    found = near(postings).distribution(tuple(query))
    assert found == pytest.approx(popularity("AAB").distribution(()))


def test_one_thing_in_other_words_is_near_and_c_is_not_c_plus_plus() -> None:
    peer = near([(["arc welding"], "A"), (["C++"], "B")])
    assert peer.distribution(("Welding of pipes",)).argmax() == 0
    assert peer.distribution(("c++",)).argmax() == 1
    assert len({*peer.distribution(("C",))[:2]}) == 1


@settings(max_examples=25, deadline=None)
@given(careers, postings, st.lists(titles, max_size=3), skills)
def test_a_loaded_count_model_is_equal(
    tmp_path_factory: pytest.TempPathFactory,
    careers: list[list[str]],
    postings: list[tuple[list[str], str]],
    history: list[str],
    query: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("peers")
    records = [*({"titles": tuple(career)} for career in careers), *records_of(postings)]
    given = {"path": history, "position": query, "skills": history[:1]}
    for task, models in COUNT_MODELS.items():
        for name, kind in models.items():
            fitted = kind.fit(task, NAMES, records)
            fitted.save(folder / task, name)
            loaded = kind.load(task, NAMES, folder / task, name)
            asked = tuple(given[task])
            assert (loaded.distribution(asked) == fitted.distribution(asked)).all()
    assert not list(folder.rglob("*.partial"))


def test_what_is_saved_holds_no_text(tmp_path: Path) -> None:
    chain([["A", "Chief Dragon", "B"]]).save(tmp_path, "markov")
    near([(["sql", "dragons"], "A")]).save(tmp_path, "neighbours")
    for path in tmp_path.iterdir():
        with np.load(path, allow_pickle=False) as parts:
            kinds = {name: parts[name].dtype.kind for name in parts}
        assert kinds.pop("format") == "S"  # "csr", scipy's own.
        assert set(kinds.values()) <= {"i", "b"}


def _npz(**arrays: Any) -> bytes:
    with io.BytesIO() as file:
        np.savez(file, **arrays)
        return file.getvalue()


CSR = {
    "format": np.array(b"csr"),
    "shape": np.array([5, 4]),
    "data": np.array([1]),
    "indices": np.array([0]),
    "indptr": np.array([0, 1, 1, 1, 1, 1]),
}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 cut",
        _npz(),
        _npz(**CSR)[:-40],
        _npz(**CSR | {"indices": np.array([99])}),
        _npz(**CSR | {"indices": np.array([-1])}),
        _npz(**CSR | {"data": np.array([{"a": "pickle"}], dtype=object)}),
        _npz(**CSR | {"data": np.array([np.nan])}),
        _npz(**CSR | {"data": np.array([-5])}),
        _npz(**CSR | {"data": np.array([0])}),
        _npz(**CSR | {"data": np.array([2**62])}),
        None,
    ],
)
def test_a_damaged_or_missing_table_is_refused_in_one_line(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / MARKOV).write_bytes(content)
    with pytest.raises(InputError, match=f"{MARKOV} cannot be read") as refused:
        load(KneserNey, "markov", tmp_path)
    assert "\n" not in str(refused.value)


def test_a_table_that_would_unfold_to_a_thousand_times_its_size_is_not_unfolded(
    tmp_path: Path,
) -> None:
    with zipfile.ZipFile(tmp_path / MARKOV, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in CSR:
            archive.writestr(f"{name}.npy", bytes(2**24))
    with pytest.raises(InputError, match=r"cannot be read \(it would unfold to 83,886,080 bytes"):
        load(KneserNey, "markov", tmp_path)


def test_what_many_equal_lists_write_is_read(tmp_path: Path) -> None:
    near([(["sql"], "A")] * 20_000).save(tmp_path, "neighbours")
    assert load(Neighbours, "neighbours", tmp_path).tables["_words"].shape[0] == 20_000


def test_an_endless_device_in_a_table_s_place_is_not_read(tmp_path: Path) -> None:
    (tmp_path / MARKOV).symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a device"):
        load(KneserNey, "markov", tmp_path)


def test_tables_of_another_model_are_refused(tmp_path: Path) -> None:
    fewer = Candidates(("A", "B"), (5, 5))
    popularity(["A"]).save(tmp_path, "popularity")
    chain([["A", "B"]]).save(tmp_path, "markov")
    near([(["sql"], "A")]).save(tmp_path, "neighbours")
    by_title([(["sql"], "A")]).save(tmp_path, "by_title")
    for kind, name, names in (
        (KneserNey, "by_title", {"titles": fewer, "skills": SKILLS}),
        (Popularity, "popularity", {"titles": fewer, "skills": SKILLS}),
        (KneserNey, "markov", {"titles": fewer, "skills": SKILLS}),
        (Neighbours, "neighbours", {"titles": fewer, "skills": SKILLS}),
        (Neighbours, "neighbours", {"titles": TITLES, "skills": TITLES}),
        (KneserNey, "by_title", {"titles": TITLES, "skills": TITLES}),
    ):
        with pytest.raises(InputError, match=rf"{name}.*npz counts .*: take all files from one"):
            load(kind, name, tmp_path, names)
    (tmp_path / MARKOV).write_bytes((tmp_path / POPULARITY).read_bytes())
    with pytest.raises(InputError, match=rf"{MARKOV} counts 1 by 4 .* names 5 by 4: take all"):
        load(KneserNey, "markov", tmp_path)
    near([]).save(tmp_path / "other", "neighbours")
    (tmp_path / POSITIONS).write_bytes((tmp_path / "other" / POSITIONS).read_bytes())
    with pytest.raises(InputError, match=rf"{POSITIONS} counts 0 by 4 .* names 1 by 4: take all"):
        load(Neighbours, "neighbours", tmp_path)


def test_a_table_is_as_large_as_what_was_observed() -> None:
    many = Candidates(tuple(f"t{n}" for n in range(20_000)), (5,) * 20_000)
    moves = chain([[f"t{n}", f"t{n + 1}"] for n in range(19_999)], many)
    assert isinstance(moves.tables[""], sparse.csr_array)
    assert moves.tables[""].nnz == 19_999
    assert math.isclose(next_titles(moves, "t7").sum(), 1)
