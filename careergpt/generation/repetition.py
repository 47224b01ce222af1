"""How often generated text repeats itself: what perplexity does not show."""

from collections.abc import Iterator, Sequence


def repetition(tokens: Sequence[int], n: int = 4) -> float:
    """Rep-n of one text: 1 - distinct n-grams / n-grams (Welleck et al., 2020); lower is better.

    From 0, no n-gram occurs twice, towards 1; 0 for texts shorter than `n`.
    """
    grams = list(ngrams(tokens, n))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """Distinct-n: distinct n-grams / n-grams of all texts (Li et al., 2016); higher is better.

    It falls as texts grow in number or length: compare it only between samples of one size.
    0 where no text is as long as `n`.
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def ngrams(tokens: Sequence[int], n: int) -> Iterator[tuple[int, ...]]:
    """Each run of `n` tokens, in order."""
    if n < 1:
        raise ValueError(f"n is {n}: an n-gram has at least one token")
    return (tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
