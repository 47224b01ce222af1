"""Laws of decoding: the library's own greedy answers, repeatable samples, true probabilities."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo
from transformers import (
    AutoModelForCausalLM,
    MistralConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from careergpt.data.prompts import Prompt
from careergpt.errors import InputError
from careergpt.generation.cache import attention_to_cache
from careergpt.generation.decoding import Generated, _kept, generate, repetition, write
from careergpt.generation.sampling import Decoding
from careergpt.modeling.attention import SEGMENTS, compile_blocks
from careergpt.modeling.folder import build_model, context_of, pretrained_config
from tests.generation.families import CONFIGS, CONTEXT, END, VOCABULARY

GREEDY = Decoding(greedy=True, max_new_tokens=12)
PENALIZED = Decoding(greedy=True, max_new_tokens=12, repetition_penalty=1.5)
SAMPLED = Decoding(max_new_tokens=12, temperature=1.0, top_p=1.0)
DEFAULTS = Decoding(max_new_tokens=12)
UNREPEATED = Decoding(
    greedy=True,
    max_new_tokens=30,
    no_repeat_ngram_size=2,
    min_new_tokens=20,
    repetition_penalty=1.0,
)


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A tiny model of each family, with wide weights: no two tokens are about as likely."""
    torch.manual_seed(1)
    return build_model(CONFIGS[request.param](), None).eval()


@pytest.fixture
def prompts() -> list[Prompt]:
    """Twelve prompts of 1 to 12 tokens."""
    rng = np.random.default_rng(0)
    return [
        Prompt(place, f"id{place}", f"text {place}", tuple(rng.integers(1, 40, place + 1).tolist()))
        for place in range(12)
    ]


@pytest.fixture
def answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast
) -> Callable[[list[Prompt], Decoding], list[Generated]]:
    """The answers of the tiny model."""
    return lambda prompts, decoding: generate(model, tokenizer, prompts, decoding, CONTEXT)


@pytest.mark.parametrize("decoding", [GREEDY, PENALIZED, SAMPLED, DEFAULTS], ids=str)
def test_ids_that_spell_nothing_are_never_written(
    decoding: Decoding, prompts: list[Prompt], tokenizer: PreTrainedTokenizerFast
) -> None:
    torch.manual_seed(1)
    config = CONFIGS["gpt2"]()
    config.vocab_size = len(tokenizer) + 48
    model = build_model(config, None).eval()
    model.lm_head.weight.data[: len(tokenizer)] *= 0.01  # So the others are the likeliest.
    answers = generate(model, tokenizer, prompts, decoding, CONTEXT)
    written = {token for answer in answers for token in answer.token_ids}
    assert max(written) < len(tokenizer)
    assert all(answer.log_probability > -np.inf for answer in answers)


def library_s(model: PreTrainedModel) -> PreTrainedModel:
    """The library's own class with the same weights, its attention its own."""
    config = deepcopy(model.config)
    other = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    other.load_state_dict(model.state_dict())
    return other


def until(end: int, ids: list[int]) -> list[int]:
    """The ids up to and with the end."""
    return ids[: ids.index(end) + 1] if end in ids else ids


def library_score(model: PreTrainedModel, prompt: Sequence[int], answer: Sequence[int]) -> float:
    """The answer's log-probability, read at once by the library's own class."""
    ids = torch.tensor([[*prompt, *answer]])
    with torch.no_grad():
        logs = library_s(model)(ids, use_cache=False).logits[0].double().log_softmax(-1)
    return sum(logs[t - 1, ids[0, t]].item() for t in range(len(prompt), ids.shape[1]))


def library_greedy(
    model: PreTrainedModel, ids: tuple[int, ...], decoding: Decoding, end: int | None = END
) -> tuple[int, ...]:
    """What the library's own class writes, one prompt at a time."""
    written = library_s(model).generate(
        torch.tensor([ids]),
        do_sample=False,
        max_new_tokens=decoding.max_new_tokens,
        repetition_penalty=decoding.repetition_penalty,
        no_repeat_ngram_size=decoding.no_repeat_ngram_size,
        min_new_tokens=decoding.min_new_tokens or None,
        eos_token_id=end,
        pad_token_id=END,
    )
    return tuple(written[0, len(ids) :].tolist())


@pytest.mark.parametrize(
    "decoding", [GREEDY, PENALIZED, UNREPEATED], ids=["plain", "penalized", "unrepeated"]
)
def test_greedy_answers_are_the_library_s_token_for_token(
    model: PreTrainedModel, prompts: list[Prompt], answer: Callable, decoding: Decoding
) -> None:
    answers = answer(prompts, decoding)
    for prompt, found in zip(prompts, answers, strict=True):
        assert found.token_ids == library_greedy(model, prompt.token_ids, decoding)
    assert len({found.token_ids for found in answers}) > 6


@pytest.mark.parametrize(
    "decoding",
    [PENALIZED, SAMPLED, DEFAULTS, replace(UNREPEATED, greedy=False)],
    ids=["penalized", "sampled", "defaults", "unrepeated"],
)
def test_an_answer_is_the_same_in_any_batch(
    prompts: list[Prompt], answer: Callable, decoding: Decoding
) -> None:
    together = answer(prompts, decoding)
    apart = [answer([prompt], decoding)[0] for prompt in prompts]
    mixed = answer(prompts[::-2], decoding)
    assert [a.token_ids for a in together] == [a.token_ids for a in apart]
    assert [a.place for a in mixed] == sorted(p.place for p in prompts[::-2])
    assert [a.token_ids for a in mixed] == [together[a.place].token_ids for a in mixed]
    for one, other in zip(together, apart, strict=True):
        assert one.log_probability == pytest.approx(other.log_probability, abs=1e-3)


LONG = 30
ROOMS = [LONG] * 12


@pytest.mark.parametrize(
    "decoding", [GREEDY, PENALIZED, SAMPLED, DEFAULTS], ids=["greedy", "penalized", "all", "likely"]
)
def test_dropping_rows_changes_nothing(
    model: PreTrainedModel, prompts: list[Prompt], decoding: Decoding
) -> None:
    decoding = replace(decoding, max_new_tokens=LONG)
    lengths = set()
    with attention_to_cache(model):
        undropped = write(model, prompts, decoding, ROOMS, None)
        # Whichever token ends a text, it is the same text until there.
        for end in range(0, VOCABULARY, 5):
            for whole, found in zip(
                undropped, write(model, prompts, decoding, ROOMS, end), strict=True
            ):
                assert found[0] == until(end, whole[0])
                lengths.add(len(found[0]))
    assert len(lengths) > 8


def test_rows_that_end_early_leave_the_library_s_text_to_the_others(
    model: PreTrainedModel, prompts: list[Prompt]
) -> None:
    decoding, lengths = replace(PENALIZED, max_new_tokens=LONG), set()
    whole = [library_greedy(model, prompt.token_ids, decoding, end=None) for prompt in prompts]
    for end in (3, 11, 27):
        with attention_to_cache(model):
            written = write(model, prompts, decoding, ROOMS, end)
        assert [found for found, _ in written] == [until(end, list(ids)) for ids in whole]
        lengths |= {len(found) for found, _ in written}
    assert len(lengths) > 5


def test_the_log_probability_of_a_row_that_outlives_others_is_its_own(
    model: PreTrainedModel, prompts: list[Prompt]
) -> None:
    decoding = replace(SAMPLED, max_new_tokens=LONG)
    for end in (3, 11, 27):
        with attention_to_cache(model):
            written = write(model, prompts, decoding, ROOMS, end)
        for prompt, (found, nats) in zip(prompts, written, strict=True):
            expected = -library_score(model, prompt.token_ids, found)
            assert nats == pytest.approx(expected, abs=1e-4)


def test_ended_slots_are_filled_from_the_end() -> None:
    alive = [False, True, True, False, True, False, True]
    assert _kept(alive) == [4, 1, 2, 6]
    assert _kept([True] * 3) == [0, 1, 2]
    assert _kept([False] * 3) == []


def test_answers_carry_their_prompts_in_order(prompts: list[Prompt], answer: Callable) -> None:
    answers = answer(prompts, GREEDY)
    assert [(a.place, a.id, a.prompt) for a in answers] == [
        (p.place, p.id, p.text) for p in prompts
    ]


def test_samples_repeat_with_a_seed_and_differ_between_seeds(
    prompts: list[Prompt], answer: Callable
) -> None:
    first, again = answer(prompts, SAMPLED), answer(prompts, SAMPLED)
    assert first == again
    others = answer(prompts, Decoding(**{**vars(SAMPLED), "seed": 1}))
    differing = sum(a.token_ids != b.token_ids for a, b in zip(first, others, strict=True))
    assert differing > 9


def test_samples_do_not_depend_on_the_global_generator(
    prompts: list[Prompt], answer: Callable
) -> None:
    torch.manual_seed(0)
    first = answer(prompts, SAMPLED)
    torch.manual_seed(1)
    assert answer(prompts, SAMPLED) == first


def test_equal_prompts_at_different_places_are_answered_differently(
    prompts: list[Prompt], answer: Callable
) -> None:
    same = [prompts[3]._replace(place=place) for place in range(8)]
    assert len({found.token_ids for found in answer(same, SAMPLED)}) > 4


def test_answers_end_with_the_end_of_text_or_at_the_limit(
    prompts: list[Prompt], answer: Callable
) -> None:
    answers = answer([p._replace(place=i) for i, p in enumerate(prompts * 4)], SAMPLED)
    assert {found.finish_reason for found in answers} == {"end", "length"}
    for found in answers:
        assert found.n_tokens == len(found.token_ids)
        assert (found.token_ids[-1] == END) == (found.finish_reason == "end")
        assert END not in found.token_ids[:-1]
        assert found.finish_reason == "end" or found.n_tokens == 12


def test_no_answer_ends_before_its_least_tokens_or_repeats_a_run(
    prompts: list[Prompt], answer: Callable
) -> None:
    decoding = replace(UNREPEATED, greedy=False, temperature=3.0, max_new_tokens=25)
    answers = answer(prompts, decoding)
    assert all(20 <= found.n_tokens <= 25 for found in answers)
    assert {found.finish_reason for found in answers} == {"end", "length"}
    for prompt, found in zip(prompts, answers, strict=True):
        ids = (*prompt.token_ids, *found.token_ids)
        assert len(prompt.token_ids) > 2 or repetition(ids, 2) == 0
        written = [pair for pair in zip(found.token_ids, found.token_ids[1:], strict=False)]
        assert len(set(written)) == len(written)


def test_a_stop_text_ends_answers_as_the_library_s_does(
    model: PreTrainedModel,
    prompts: list[Prompt],
    answer: Callable,
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    whole = answer(prompts, GREEDY)
    # Two characters that several answers have, across tokens too.
    pairs = Counter(pair for one in whole for pair in map("".join, pairwise(one.text.strip())))
    stop = next(pair for pair, n in pairs.most_common() if pair.isprintable() and n > 1)
    found = answer(prompts, replace(GREEDY, stop=[stop, "never written"]))
    for prompt, before, after in zip(prompts, whole, found, strict=True):
        written = library_s(model).generate(
            torch.tensor([prompt.token_ids]), do_sample=False, max_new_tokens=12, eos_token_id=END,
            pad_token_id=END, stop_strings=[stop], tokenizer=tokenizer,
            repetition_penalty=GREEDY.repetition_penalty,
        )  # fmt: skip
        ids = tuple(written[0, len(prompt.token_ids) :].tolist())
        # The library also stops at a text that the prompt has begun.
        straddles = stop not in tokenizer.decode(ids) and ids != before.token_ids
        assert straddles or after.token_ids == ids
        assert stop not in after.text
        assert before.text.startswith(after.text)
        assert (after.finish_reason == "stop") == (stop in tokenizer.decode(after.token_ids))
    assert {one.finish_reason for one in found} >= {"stop"}


def test_the_text_is_the_answer_s_tokens_without_the_end(
    prompts: list[Prompt], answer: Callable, tokenizer: PreTrainedTokenizerFast
) -> None:
    for found in answer(prompts, SAMPLED):
        ids = [token for token in found.token_ids if token != END]
        assert found.text == tokenizer.decode(ids).strip()
        assert "endoftext" not in found.text


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED, Decoding(max_new_tokens=9, top_k=3)])
def test_the_log_probability_is_the_sum_of_log_softmax(
    model: PreTrainedModel, prompts: list[Prompt], answer: Callable, decoding: Decoding
) -> None:
    for prompt, found in zip(prompts, answer(prompts, decoding), strict=True):
        expected = library_score(model, prompt.token_ids, found.token_ids)
        assert found.log_probability == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("decoding", [GREEDY, SAMPLED], ids=["greedy", "sampled"])
def test_no_answer_goes_beyond_the_context(answer: Callable, decoding: Decoding) -> None:
    long = Decoding(**{**vars(decoding), "max_new_tokens": 500})
    lengths = [1, 3, CONTEXT - 2, CONTEXT - 1, CONTEXT - 1]
    prompts = [Prompt(place, "", "", (7,) * length) for place, length in enumerate(lengths)]
    for prompt, found in zip(prompts, answer(prompts, long), strict=True):
        reached = len(prompt.token_ids) + found.n_tokens
        assert reached == CONTEXT if found.finish_reason == "length" else reached <= CONTEXT
        assert found.n_tokens >= 1


def test_a_long_neighbour_cuts_no_answer_short(answer: Callable) -> None:
    short, long = Prompt(0, "", "", (5,)), Prompt(1, "", "", (7,) * (CONTEXT - 1))
    for decoding in (GREEDY, SAMPLED):
        assert (
            answer([short, long], decoding)[0].token_ids == answer([short], decoding)[0].token_ids
        )


def test_each_row_has_its_own_room(answer: Callable) -> None:
    long = Decoding(greedy=True, max_new_tokens=20)
    prompts = [Prompt(n, "", "", (7,) * length) for n, length in enumerate([1, 40, 30, 46, 20])]
    together = answer(prompts, long)
    assert [found.token_ids for found in together] == [
        answer([prompt], long)[0].token_ids for prompt in prompts
    ]
    for prompt, found in zip(prompts, together, strict=True):
        if found.finish_reason == "length":
            assert found.n_tokens == min(20, CONTEXT - len(prompt.token_ids))
    assert {found.finish_reason for found in together} >= {"length"}


def test_an_answer_may_be_the_end_alone(
    model: PreTrainedModel, prompts: list[Prompt], tokenizer: PreTrainedTokenizerFast
) -> None:
    (first,) = {library_greedy(model, prompts[0].token_ids, GREEDY)[0]}
    with attention_to_cache(model):
        alone = write(model, prompts[:1], GREEDY, ROOMS[:1], first)
        beside = write(model, prompts, GREEDY, ROOMS, first)
    assert alone[0][0] == beside[0][0] == [first]
    assert max(len(found) for found, _ in beside) > 1


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_models_of_other_precision_write(
    model: PreTrainedModel, prompts: list[Prompt], answer: Callable, dtype: torch.dtype
) -> None:
    expected = [found.token_ids for found in answer(prompts, GREEDY)]
    model.to(dtype)
    found = [found.token_ids for found in answer(prompts, GREEDY)]
    assert found == expected if dtype == torch.float64 else len(set(found)) > 6


def test_autocast_keeps_the_keys_in_half_precision(prompts: list[Prompt], answer: Callable) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = answer(prompts, GREEDY)
    assert len({answer.token_ids for answer in found}) > 6


@pytest.mark.parametrize("decoding", [GREEDY, DEFAULTS], ids=["greedy", "sampled"])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_model_that_diverged_is_the_users_to_know(
    model: PreTrainedModel,
    prompts: list[Prompt],
    answer: Callable,
    decoding: Decoding,
    bad: float,
) -> None:
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = bad
    with pytest.raises(InputError, match="not finite"):
        answer(prompts, decoding)
    assert model.config._attn_implementation == SEGMENTS


def test_writing_compiles_nothing(
    model: PreTrainedModel, prompts: list[Prompt], answer: Callable
) -> None:
    expected = answer(prompts, GREEDY)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_blocks(model)
    assert answer(prompts, GREEDY) == expected
    assert not torch._dynamo.utils.counters["frames"]


def test_a_sliding_window_bounds_each_row_and_not_the_batch(tokenizer: Any) -> None:
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=16,
        max_position_embeddings=64,
    )  # fmt: skip
    windowed = build_model(config, None).eval()
    # The longest prompt and the longest answer are together longer than the window.
    both = [Prompt(place, "", "", tuple(range(5, 5 + n))) for place, n in enumerate((15, 2))]

    def answers(some: list[Prompt]) -> list[tuple[int, ...]]:
        found = generate(windowed, tokenizer, some, GREEDY, context_of(config))
        return [answer.token_ids for answer in found]

    assert answers(both) == answers(both[:1]) + answers(both[1:])


def test_the_model_is_left_as_it_was(
    model: PreTrainedModel, prompts: list[Prompt], answer: Callable
) -> None:
    for training in (True, False):
        model.train(training)
        answer(prompts, GREEDY)
        assert model.training == training
        assert model.config._attn_implementation == SEGMENTS


def test_dropout_is_off_while_answering(
    model: PreTrainedModel, prompts: list[Prompt], answer: Callable
) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model.train()
    assert answer(prompts, GREEDY) == answer(prompts, GREEDY)


@pytest.mark.parametrize("model", ["gpt2"], indirect=True)
@pytest.mark.parametrize(
    "defaults",
    [
        {"do_sample": True, "temperature": 0.01, "top_k": 1, "top_p": 0.1},
        {"repetition_penalty": 9.0},
        {"no_repeat_ngram_size": 1},
        {"suppress_tokens": list(range(1, 30))},
        {"bad_words_ids": [[token] for token in range(1, 30)]},
        {"min_new_tokens": 12},
        {"forced_eos_token_id": 7},
        {"eos_token_id": list(range(40))},
        {"max_new_tokens": 2, "max_length": 3},
        {"encoder_no_repeat_ngram_size": 1},
        {"min_p": 0.9},
        {"typical_p": 0.1},
        {"sequence_bias": [[[5], 50.0]]},
        {"begin_suppress_tokens": list(range(1, 30))},
        {"exponential_decay_length_penalty": [1, 1.9]},
        {"renormalize_logits": True},
        {"num_beams": 2, "num_return_sequences": 2},
        {"return_dict_in_generate": True},
        {"max_time": 0.0},
        {"stop_strings": ["a", "e"]},
        {"prompt_lookup_num_tokens": 3},
        {"cache_implementation": "static"},
    ],
    ids=lambda defaults: next(iter(defaults)),
)
def test_the_folder_s_own_defaults_do_not_change_our_decoding(
    tmp_path: Path,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: list[Prompt],
    answer: Callable,
    defaults: dict,
) -> None:
    model.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps(defaults))
    config = pretrained_config(str(tmp_path), _Small())
    other = build_model(config, str(tmp_path)).eval()
    for decoding in (GREEDY, SAMPLED):
        found = generate(other, tokenizer, prompts, decoding, CONTEXT)
        assert [a.token_ids for a in found] == [a.token_ids for a in answer(prompts, decoding)]


class _Small(PreTrainedTokenizerFast):
    """A tokenizer in nothing but its length, which is the tiny model's."""

    eos_token_id = END

    def __init__(self) -> None:
        pass

    def __len__(self) -> int:
        return VOCABULARY
