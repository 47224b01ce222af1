"""Texts as vectors whose cosines say how alike they are: by TF-IDF, or by a sentence embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from careergpt.data.names import key_words
from careergpt.errors import InputError

Vectors = Any  # Sparse or dense: a row a text, of length 1, or 0 for a text without words.
Encoder = Callable[[Sequence[str]], Vectors]


def tf_idf(descriptions: Sequence[str]) -> tuple[Encoder, Vectors]:
    """TF-IDF with 1 + ln(tf), without English stop words (Manning et al., 2008, section 6.4)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    try:
        vectors = vectorizer.fit_transform(descriptions)
    except ValueError as error:  # An empty vocabulary.
        raise InputError(
            f"the {len(descriptions)} unseen descriptions cannot be searched ({error}); "
            "compare on a table whose descriptions hold words, or with --answers 0"
        ) from None
    return vectorizer.transform, vectors


def embeddings(descriptions: Sequence[str], embedder: str) -> tuple[Encoder, Vectors]:
    """Sentence embeddings (Reimers & Gurevych, 2019)."""
    model = _load(embedder)

    def encode(texts: Sequence[str]) -> Vectors:
        vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        # Of no words, an embedding holds the special tokens only: as similar to one as to another.
        vectors[[not key_words(text) for text in texts]] = 0
        return vectors

    return encode, encode(descriptions)


def _load(embedder: str) -> Any:
    from transformers.utils import logging

    try:
        from sentence_transformers import SentenceTransformer
    except ImportError:
        raise InputError(
            f"relevance by {embedder!r} needs sentence-transformers: "
            "pip install 'careergpt[embeddings]'"
        ) from None
    logging.disable_progress_bar()
    try:
        model = SentenceTransformer(embedder)
        model.encode(["Some load", "and cannot pad."], show_progress_bar=False)
    except Exception as error:  # OSError, ValueError, safetensors' own …
        reason = (str(error).strip() or repr(error)).splitlines()[0][:150]
        raise InputError(
            f"no texts can be embedded by {embedder!r} ({reason}); name a folder that holds a "
            "sentence-embedding model, or a hub name on a machine with a network"
        ) from None
    return model
