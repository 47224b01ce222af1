"""What words cost, and which examples are shown word by word."""

from pathlib import Path

import numpy as np
import pytest
import torch

from careergpt.compare.scores import completion_nats, score_table
from careergpt.compare.unseen import Instance, encode_instances
from careergpt.compare.words import END, word_nats, word_scores
from careergpt.data.tasks import Piece, PromptCompletion, text_of
from careergpt.modeling.loaded import LoadedModel, find_model

TEXTS = [
    "Care for patients: 日本語 wards,\n\n  naïve   notes … 🙂🙂 end.",
    "a",
    "C++, SQL, R&D " * 12,
]
MODELS = ("baseline", "finetuned")


@pytest.fixture(scope="module")
def model(tiny_gpt2: Path) -> LoadedModel:
    return find_model(str(tiny_gpt2)).load(torch.device("cpu"))


def instance_of(model: LoadedModel, pieces: tuple[str, ...], length: int = 128) -> Instance:
    completion = tuple(Piece(text, "skills") for text in pieces)
    pair = PromptCompletion("describe", (Piece("A nurse?", None),), completion)
    bare = Instance("r", "Nurse", 0, {}, pair, {})
    [found] = encode_instances([bare], dict.fromkeys(MODELS, model.tokenizer), length)
    return found


def words(model: LoadedModel, instance: Instance) -> tuple[tuple[str, float], ...]:
    return word_nats(model.model, model.tokenizer, instance, instance.examples["baseline"])


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("length", [128, 20])
def test_words_spell_the_text_and_their_nats_are_the_score(
    model: LoadedModel, text: str, length: int
) -> None:
    instance = instance_of(model, (" " + text,), length)
    found = words(model, instance)
    [nats] = completion_nats(model.model, [instance.examples["baseline"]])
    assert sum(cost for _, cost in found) == pytest.approx(nats, abs=1e-4)
    whole = text_of(instance.pair.completion)
    said = "".join(word for word, _ in found)
    assert (said == whole + END) == (not instance.is_cut)
    assert whole.startswith(said.removesuffix(END))


def test_a_word_s_nats_are_those_of_its_tokens(model: LoadedModel) -> None:
    instance = instance_of(model, (" care", " plans"))
    found = words(model, instance)
    example = instance.examples["baseline"]
    n_care = len(model.tokenizer(" care").input_ids)
    kept = example._replace(token_ids=example.token_ids[: example.n_prompt + n_care])
    [care] = completion_nats(model.model, [kept])
    assert [word for word, _ in found] == [" care", " plans", END]
    assert found[0][1] == pytest.approx(care, abs=1e-4)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 40])
def test_the_best_gained_most_and_the_worst_least(model: LoadedModel, n: int) -> None:
    gains = np.random.default_rng(n).permutation(n).astype(float)
    one = instance_of(model, (" care",))
    instances = [one._replace(record=str(gain), title=str(gain)) for gain in gains]
    nats = {"baseline": np.full(n, 100.0), "finetuned": 100.0 - gains}
    scores = score_table(instances, [], {m: lambda *_, m=m: nats[m] for m in MODELS})
    shown = word_scores(dict.fromkeys(MODELS, model), instances, scores, "", same_tokenizer=True)
    of = {
        place: [float(one.title) for one in shown if one.place == place]
        for place in ("best", "median", "worst")
    }
    if n == 1:
        assert of == {"best": [], "median": [0.0], "worst": []}
        return
    assert max(gains) in of["best"]
    assert min(gains) in of["worst"]
    assert len({one.title for one in shown}) == len(shown)
    if n > 2:
        assert min(of["best"]) > max(of["median"]) >= min(of["median"]) > max(of["worst"])
        assert float(np.median(gains)) == pytest.approx(float(np.median(of["median"])), abs=1)
