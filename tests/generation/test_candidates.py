"""Laws of scoring candidates over a trie: the library's own probabilities, whatever is shared."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch._dynamo
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm
from transformers import (
    AutoModelForCausalLM,
    MistralConfig,
    PreTrainedModel,
)

from careergpt.errors import InputError
from careergpt.generation import candidates as module
from careergpt.generation.cache import attention_to_cache
from careergpt.generation.candidates import Trie, plan_chunks, score_candidates
from careergpt.modeling.attention import SEGMENTS, compile_blocks
from careergpt.modeling.folder import build_model
from tests.generation.families import CONFIGS, CONTEXT, END, VOCABULARY

Texts = list[list[int]]


def fresh(family: str) -> PreTrainedModel:
    """A tiny model of the family, with wide weights: no two tokens are about as likely."""
    torch.manual_seed(1)
    return build_model(CONFIGS[family](), None).eval()


@cache
def shared(family: str) -> PreTrainedModel:
    """One for all tests that change nothing of it."""
    return fresh(family)


@cache
def library_s(family: str) -> PreTrainedModel:
    """The library's own class with the same weights, its attention its own."""
    config = deepcopy(shared(family).config)
    other = AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
    other.load_state_dict(shared(family).state_dict())
    return other


@pytest.fixture(params=CONFIGS)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def library_nats(model: PreTrainedModel, prompt: Sequence[int], text: Sequence[int]) -> float:
    """The text's log-probability after the prompt, read whole and alone."""
    ids = torch.tensor([[*prompt, *text]])
    with torch.no_grad():
        logs = model(ids, use_cache=False).logits[0].double().log_softmax(-1)
    return sum(logs[t - 1, ids[0, t]].item() for t in range(len(prompt), ids.shape[1]))


def one_by_one(
    model: PreTrainedModel, prompts: Texts, candidates: Texts, terminators: Texts
) -> np.ndarray:
    """The scores as their definition has them."""
    nats = [
        [[library_nats(model, prompt, ids + end) for end in terminators] for ids in candidates]
        for prompt in prompts
    ]
    return np.logaddexp.reduce(np.array(nats), axis=-1)


def spelled(trie: Trie, node: int) -> list[int]:
    """The tokens on the way from the root to the node."""
    path = [*trie.path_to(node), node]
    return trie.tokens[path[1:]].tolist()


# Few tokens: many candidates begin alike, are equal, or begin others.
few = st.integers(1, 4)
CANDIDATES = st.lists(st.lists(few, min_size=1, max_size=6), min_size=1, max_size=6)
PROMPTS = st.lists(
    st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9), min_size=1, max_size=2
)
# The last three have tokens of the candidates: what ends one may begin another.
TERMINATORS = st.sampled_from(
    [[[0]], [[0], [7]], [[7, 8, 9], [7, 9], [0]], [[1]], [[2, 3], [0], [2, 4, 4]], [[3, 3], [4]]]
)


@settings(max_examples=30, deadline=None)
@given(
    family=st.sampled_from(list(CONFIGS)),
    prompts=PROMPTS,
    candidates=CANDIDATES,
    terminators=TERMINATORS,
    nodes=st.sampled_from([1, 2, 3, 8, 60, 500]),
)
def test_a_score_is_the_library_s_of_prompt_candidate_and_end_read_alone(
    family: str, prompts: Texts, candidates: Texts, terminators: Texts, nodes: int
) -> None:
    found = score_candidates(shared(family), prompts, Trie(candidates, terminators), nodes=nodes)
    expected = one_by_one(library_s(family), prompts, candidates, terminators)
    assert found.dtype == np.float64
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("nodes", [2, 7, 512])
def test_a_deep_chain_and_all_its_beginnings_are_scored(family: str, nodes: int) -> None:
    whole = np.random.default_rng(0).integers(1, VOCABULARY, 36).tolist()
    candidates = [whole[:length] for length in range(len(whole), 0, -1)] + [whole[:9] + [5]]
    prompts, terminators = [[3, 9, 14, 2, 30], [8]], [[END], [4, 4]]
    found = score_candidates(shared(family), prompts, Trie(candidates, terminators), nodes=nodes)
    expected = one_by_one(library_s(family), prompts, candidates, terminators)
    assert np.abs(found - expected).max() < 1e-4


def many(count: int, seed: int = 0) -> Texts:
    """Candidates of 1 to 7 tokens, many of which begin alike."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 6, length).tolist() for length in rng.integers(1, 8, count)]


def test_no_number_of_nodes_at_a_time_changes_a_score(family: str) -> None:
    prompts, trie = many(5, seed=1), Trie(many(200), [[END], [9, 9]])
    whole = score_candidates(shared(family), prompts, trie, nodes=10**6)
    for nodes in (7, 64, 333):
        found = score_candidates(shared(family), prompts, trie, nodes=nodes)
        assert np.abs(found - whole).max() < 1e-4


def test_a_prompt_s_scores_are_the_same_beside_any_others(family: str) -> None:
    rng = np.random.default_rng(2)
    prompts = [rng.integers(1, VOCABULARY, n).tolist() for n in (7, 1, 30, 2, 2, 12)]
    trie = Trie(many(30), [[END], [9]])
    together = score_candidates(shared(family), prompts, trie, nodes=10**6)
    alone = [score_candidates(shared(family), [prompt], trie)[0] for prompt in prompts]
    mixed = score_candidates(shared(family), prompts[::-1], trie, nodes=200)
    assert np.abs(together - np.array(alone)).max() < 1e-4
    assert np.abs(together - mixed[::-1]).max() < 1e-4
    assert np.abs(together[0] - together[1]).max() > 0.1


def test_equal_candidates_have_equal_scores_and_the_order_is_theirs(family: str) -> None:
    candidates = many(20)
    order = np.random.default_rng(3).permutation(40)
    doubled = [(candidates * 2)[place] for place in order]
    once = score_candidates(shared(family), [[5, 6]], Trie(candidates, [[END]]))[0]
    twice = score_candidates(shared(family), [[5, 6]], Trie(doubled, [[END]]))[0]
    assert np.abs(twice - np.tile(once, 2)[order]).max() < 1e-5
    assert len(Trie(doubled, [[END]]).tokens) == len(Trie(candidates, [[END]]).tokens)
    for one, other in itertools.combinations(range(40), 2):
        if doubled[one] == doubled[other]:
            assert twice[one] == twice[other]


def test_scores_do_not_depend_on_the_other_candidates(family: str) -> None:
    candidates = many(40)
    together = score_candidates(shared(family), [[5, 6, 7]], Trie(candidates, [[END], [9]]))[0]
    for place in range(0, 40, 7):
        trie = Trie([candidates[place]], [[END], [9]])
        alone = score_candidates(shared(family), [[5, 6, 7]], trie)[0, 0]
        assert together[place] == pytest.approx(alone, abs=1e-4)


def test_every_text_ends_at_once_or_by_some_length_or_later() -> None:
    config = CONFIGS["gpt2"]()
    config.vocab_size = 5
    torch.manual_seed(0)
    model = build_model(config, None).eval()
    tokens, ends, letters = [[t] for t in range(5)], [[0], [1]], [2, 3, 4]

    def probability(candidates: Texts, terminators: Texts) -> float:
        scores = score_candidates(model, [[4, 2, 0, 3]], Trie(candidates, terminators))
        return float(np.exp(scores).sum())

    texts = [list(t) for n in (1, 2, 3) for t in itertools.product(letters, repeat=n)]
    by_three = probability(texts, ends)
    at_once = probability(ends, tokens)  # Whatever follows.
    later = probability([text for text in texts if len(text) == 3], [[2], [3], [4]])
    assert at_once + by_three + later == pytest.approx(1, abs=1e-5)
    assert 0.05 < by_three < 0.95


def test_no_prompts_have_no_scores() -> None:
    assert score_candidates(shared("gpt2"), [], Trie([[1], [2]], [[END]])).shape == (0, 2)


@contextmanager
def counted(model: PreTrainedModel) -> Iterator[list[int]]:
    """The sizes of what the model reads within it."""
    sizes: list[int] = []
    table = model.get_input_embeddings()
    hook = table.register_forward_hook(lambda _, ids, __: sizes.append(ids[0].numel()))
    yield sizes
    hook.remove()


def test_what_candidates_share_is_read_once_and_what_ends_them_never(family: str) -> None:
    candidates, terminators = many(300), [[END], [9, 8]]
    beginnings = {tuple(ids[:n]) for ids in candidates for n in range(len(ids) + 1)}
    inner = beginnings | {(*ids, 9) for ids in candidates}
    trie = Trie(candidates, terminators)
    with counted(shared(family)) as sizes:
        score_candidates(shared(family), [[7] * 20], trie, nodes=10**6)
    assert sizes == [19, len(inner)]
    with counted(shared(family)) as sizes:
        score_candidates(shared(family), [[7] * 20], trie, nodes=50)
    assert max(sizes) <= 50 + 9
    assert sum(sizes) <= 19 + len(inner) + 9 * len(sizes)


def test_prompts_share_a_pass_where_the_trie_is_small(family: str) -> None:
    trie = Trie([[1], [2], [3, 4]], [[END]])
    with counted(shared(family)) as sizes:
        score_candidates(shared(family), [[7] * 5, [8] * 5] * 10, trie, nodes=50)
    assert sizes == [40, 50, 40, 50]


def test_a_long_prompt_is_read_beside_few_others() -> None:
    trie = Trie([[1], [2], [3, 4]], [[END]])
    with counted(shared("gpt2")) as sizes:
        score_candidates(shared("gpt2"), [[7] * 40, [8] * 5] * 10, trie, nodes=100)
    assert max(sizes) <= 100


def test_the_logits_of_few_states_are_held_at_a_time(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts, trie = [[7, 8], [9], [3, 4, 5]], Trie(many(60), [[END], [9, 8]])
    expected = score_candidates(shared(family), prompts, trie)
    held: list[int] = []

    def linear(states: torch.Tensor, head: torch.Tensor) -> torch.Tensor:
        held.append(states.shape[:-1].numel())
        return F.linear(states, head)

    monkeypatch.setattr(module, "F", SimpleNamespace(linear=linear))
    monkeypatch.setattr(module, "chunk_of", lambda head: 7)
    found = score_candidates(shared(family), prompts, trie, nodes=10**6)
    assert np.abs(found - expected).max() < 1e-4
    assert max(held) == 6  # Two states of each of three prompts.
    assert sum(held) == 3 * len(trie.inner)


@pytest.mark.parametrize("length", [CONTEXT - 3, CONTEXT - 2])
def test_a_prompt_that_leaves_no_room_for_the_deepest_candidate_is_refused(
    family: str, length: int
) -> None:
    trie, prompts = Trie([[1], [2, 3]], [[END]]), [[4], [5] * length]
    if length + 3 <= CONTEXT:
        expected = one_by_one(library_s(family), prompts, [[1], [2, 3]], [[END]])
        found = score_candidates(shared(family), prompts, trie)
        assert np.abs(found - expected).max() < 1e-4
        return
    with counted(shared(family)) as sizes, pytest.raises(InputError) as refused:
        score_candidates(shared(family), prompts, trie)
    message = str(refused.value)
    assert all(number in message for number in ("prompt 1 ", " 46 tokens", " 3 ", " 48 "))
    assert "\n" not in message
    assert sizes == []


def test_a_sliding_window_bounds_a_prompt_and_a_candidate() -> None:
    config = MistralConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, sliding_window=16,
        max_position_embeddings=64, initializer_range=0.3,
    )  # fmt: skip
    windowed = build_model(config, None).eval()
    candidates, prompt = [[1, 2], [1, 3], [4]], list(range(5, 18))
    theirs = AutoModelForCausalLM.from_config(deepcopy(config), attn_implementation="eager").eval()
    theirs.load_state_dict(windowed.state_dict())
    # Side by side they are more than the window; each alone is not.
    found = score_candidates(windowed, [prompt, prompt[3:]], Trie(candidates, [[END]]))
    expected = one_by_one(theirs, [prompt, prompt[3:]], candidates, [[END]])
    assert np.abs(found - expected).max() < 1e-4
    with pytest.raises(InputError, match="16"):
        score_candidates(windowed, [[*prompt, 18]], Trie(candidates, [[END]]))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_model_that_diverged_is_the_users_to_know(family: str, bad: float) -> None:
    model = fresh(family)
    with torch.no_grad():
        model.get_output_embeddings().weight[3] = bad
    with pytest.raises(InputError, match="not finite"):
        score_candidates(model, [[1, 2]], Trie([[1], [2, 5]], [[END]]))
    assert model.config._attn_implementation == SEGMENTS


@pytest.mark.parametrize("attention", [SEGMENTS, "sdpa"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(family: str, attention: str, training: bool) -> None:
    model = fresh(family).train(training)
    model.set_attn_implementation(attention)
    score_candidates(model, [[1, 2]], Trie([[1], [2, 5]], [[END]]))
    assert (model.training, model.config._attn_implementation) == (training, attention)
    with pytest.raises(RuntimeError), attention_to_cache(model):
        raise RuntimeError
    assert model.config._attn_implementation == attention


def test_dropout_is_off_and_nothing_is_kept_for_a_gradient(family: str) -> None:
    prompts, trie = [[1, 2, 3], [4]], Trie(many(20), [[END]])
    expected = score_candidates(shared(family), prompts, trie)
    model = fresh(family).train()
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.5
    with counted(model), torch.autograd.graph.saved_tensors_hooks(pytest.fail, pytest.fail):
        found = score_candidates(model, prompts, trie)
    assert np.abs(found - expected).max() < 1e-6


def test_scoring_compiles_nothing(family: str) -> None:
    prompts, trie = [[1, 2, 3], [4]], Trie(many(20), [[END]])
    expected = score_candidates(shared(family), prompts, trie)
    model = fresh(family)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_blocks(model)
    assert np.array_equal(score_candidates(model, prompts, trie), expected)
    assert not torch._dynamo.utils.counters["frames"]


def test_a_model_in_double_precision_scores_in_double_precision(family: str) -> None:
    candidates, terminators = many(12), [[END], [9, 8]]
    found = score_candidates(fresh(family).double(), [[1, 2, 3]], Trie(candidates, terminators))
    theirs = deepcopy(library_s(family)).double()
    expected = one_by_one(theirs, [[1, 2, 3]], candidates, terminators)
    # Rotary angles are made in single precision by the library, for any model.
    assert np.abs(found - expected).max() < (1e-9 if family == "gpt2" else 1e-6)


@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision_is_near(family: str, autocast: bool) -> None:
    prompts, trie = [[1, 2, 3], [4]], Trie(many(20), [[END], [9, 8]])
    expected = score_candidates(shared(family), prompts, trie)
    model = fresh(family) if autocast else fresh(family).bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        found = score_candidates(model, prompts, trie)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()
    assert np.abs(found - expected).max() > 1e-4


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_gpu_scores_as_the_processor_does(family: str) -> None:
    prompts, trie = many(9, seed=1), Trie(many(300), [[END], [9, 8]])
    expected = score_candidates(shared(family), prompts, trie)
    for nodes in (64, 10**6):
        found = score_candidates(fresh(family).to("cuda"), prompts, trie, nodes=nodes)
        assert np.abs(found - expected).max() < 1e-3


@given(candidates=CANDIDATES, terminators=TERMINATORS)
def test_a_trie_holds_each_beginning_once_parents_first(
    candidates: Texts, terminators: Texts
) -> None:
    trie = Trie(candidates, terminators)
    texts = [tuple(ids + end) for ids in candidates for end in terminators]
    beginnings = sorted({text[:n] for text in texts for n in range(len(text) + 1)})
    assert [tuple(spelled(trie, node)) for node in range(len(trie.tokens))] == beginnings
    assert trie.depths.tolist() == [len(text) for text in beginnings]
    assert (trie.parents[1:] < np.arange(1, len(beginnings))).all()
    leaves = [tuple(spelled(trie, leaf)) for leaf in trie.leaves.flatten().tolist()]
    assert leaves == texts
    assert trie.leaves.shape == (len(candidates), len(terminators))
    assert trie.inner.tolist() == sorted(set(trie.parents.tolist()))


@given(candidates=CANDIDATES, terminators=TERMINATORS, data=st.data())
def test_a_node_sees_itself_and_what_it_follows(
    candidates: Texts, terminators: Texts, data: st.DataObject
) -> None:
    trie = Trie(candidates, terminators)
    every = list(range(len(trie.tokens)))
    nodes = np.array(sorted(data.draw(st.sets(st.sampled_from(every), min_size=1))))
    expected = [[a in (*trie.path_to(b), b) for a in nodes.tolist()] for b in nodes.tolist()]
    assert trie.sees(nodes).tolist() == expected


@given(candidates=CANDIDATES, terminators=TERMINATORS, size=st.integers(1, 20))
def test_chunks_hold_every_inner_node_and_its_children_once_beside_all_that_they_follow(
    candidates: Texts, terminators: Texts, size: int
) -> None:
    trie, new, children = Trie(candidates, terminators), [], []
    for read, n_again, after, rows in plan_chunks(trie, size):
        nodes = read.tolist()
        mine = nodes[n_again:]
        assert nodes[0] == 0
        assert len(mine) <= size
        assert n_again <= trie.depths.max()
        assert all(set(trie.path_to(node)) <= set(nodes) for node in nodes)
        assert [mine[row] for row in rows] == trie.parents[after].tolist()
        assert (np.diff(rows) >= 0).all()
        new += mine
        children += after.tolist()
    assert new == trie.inner.tolist()
    assert sorted(children) == list(range(1, len(trie.tokens)))


def test_sums_are_those_of_the_path() -> None:
    trie = Trie(many(50), [[END], [9, 8]])
    steps = np.random.default_rng(0).normal(size=(3, len(trie.tokens)))
    sums = trie.sums(steps)
    for node in range(1, len(trie.tokens)):
        path = [*trie.path_to(node), node][1:]
        assert sums[:, node] == pytest.approx(steps[:, path].sum(axis=1))
    assert (sums[:, 0] == 0).all()


@pytest.mark.parametrize(
    ("candidates", "terminators", "message"),
    [
        ([], [[0]], "no candidate"),
        ([[1]], [], "no terminator"),
        ([[1], []], [[0]], "candidate 1 has no tokens"),
        ([[1]], [[0], []], "terminator 1 has no tokens"),
        ([[1]], [[0, 1], [2], [0]], r"\(0,\) begins terminator \(0, 1\)"),
        ([[1]], [[0], [2], [0]], r"\(0,\) begins terminator \(0,\)"),
    ],
)
def test_what_has_no_probability_of_its_own_is_refused(
    candidates: Texts, terminators: Texts, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Trie(candidates, terminators)


@pytest.mark.parametrize("nodes", [2, 50, 10**6])
def test_the_bar_counts_every_pass_and_waits_before_it_shows(
    monkeypatch: pytest.MonkeyPatch, nodes: int
) -> None:
    bars = []

    def bar(**options: object) -> tqdm:
        bars.append(tqdm(**{**options, "disable": False, "delay": 1e9}))
        assert options["delay"]
        return bars[-1]

    monkeypatch.setattr(module, "tqdm", bar)
    trie = Trie([[n, m] for n in range(3, 9) for m in range(9, 15)], [[END]])
    score_candidates(shared("gpt2"), [[7] * 5, [8] * 3, [9] * 4], trie, nodes=nodes)
    assert bars[0].n == bars[0].total > 0
