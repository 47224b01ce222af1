"""What words cost, and which records are shown."""

from pathlib import Path

import numpy as np
import pytest
import torch

from careergpt.compare.cases import Asked, Case, encode_cases
from careergpt.compare.comparison import PairedScore
from careergpt.compare.contenders import Contender
from careergpt.compare.encoding import Reader
from careergpt.compare.scores import completion_nats
from careergpt.compare.surprise import END, show_records, words
from careergpt.data.tasks import Piece, PromptCompletion, text_of
from careergpt.modeling.loaded import find_model

TEXTS = [
    "Care for patients: 日本語 wards,\n\n  naïve   notes … 🙂🙂 end.",
    "a",
    "C++, SQL, R&D " * 12,
]


@pytest.fixture(scope="module")
def contender(tiny_gpt2: Path) -> Contender:
    return find_model(str(tiny_gpt2)).load(torch.device("cpu"))


def case_of(contender: Contender, pieces: tuple[str, ...], length: int = 128) -> Case:
    completion = tuple(Piece(text, "skills") for text in pieces)
    pair = PromptCompletion("describe", (Piece("A nurse?", None),), completion)
    [case] = encode_cases([Asked("r", "Nurse", 0, {}, pair)], [Reader(contender.tokenizer, length)])
    return case


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("length", [128, 20])
def test_words_spell_the_text_and_their_nats_are_the_score(
    contender: Contender, text: str, length: int
) -> None:
    case = case_of(contender, (" " + text,), length)
    found = words(contender, case, case.example(0))
    [score] = completion_nats(contender.model, [case.example(0)])
    assert sum(word.nats for word in found) == pytest.approx(score, abs=1e-4)
    whole = text_of(case.pair.completion)
    said = "".join(word.text for word in found)
    assert (said == whole + END) == (not case.cut)
    assert whole.startswith(said.removesuffix(END))


def test_a_word_s_nats_are_those_of_its_tokens(contender: Contender) -> None:
    case = case_of(contender, (" care", " plans"))
    found = words(contender, case, case.example(0))
    ids = case.example(0).token_ids[case.example(0).n_prompt :]
    n_care = len(contender.tokenizer(" care").input_ids)
    kept = case.example(0)._replace(token_ids=[*case.example(0).token_ids[: -len(ids) + n_care]])
    [care] = completion_nats(contender.model, [kept])
    assert [word.text for word in found] == [" care", " plans", END]
    assert found[0].nats == pytest.approx(care, abs=1e-4)


def score_of(gain: float) -> PairedScore:
    return PairedScore(str(gain), "describe", "Nurse", "?", "a", 1, (10.0, 10.0 - gain), (1, 1))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 40])
def test_the_best_gained_most_and_the_worst_least(contender: Contender, n: int) -> None:
    gains = np.random.default_rng(n).permutation(n).astype(float).tolist()
    case = case_of(contender, (" care",))
    shown = show_records([contender] * 2, [case] * n, [score_of(gain) for gain in gains])
    of = {
        place: [float(one.score.record) for one in shown if one.place == place]
        for place in ("best", "median", "worst")
    }
    if n == 1:
        assert of == {"best": [], "median": [0.0], "worst": []}
        return
    assert max(gains) in of["best"]
    assert min(gains) in of["worst"]
    assert len({one.score.record for one in shown}) == len(shown)
    if n > 2:
        assert min(of["best"]) > max(of["median"]) >= min(of["median"]) > max(of["worst"])
        assert float(np.median(gains)) == pytest.approx(float(np.median(of["median"])), abs=1)
