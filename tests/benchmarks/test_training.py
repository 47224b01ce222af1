"""The training benchmark: its arithmetic, its sample of batches, and the script on a tiny model."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.processes import run

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FORKED = Path(__file__).with_name("forked.py")

# The benchmarks are scripts: they find each other in their own folder.
sys.path.insert(0, str(BENCHMARKS))

from contenders import ours, peers  # noqa: E402
from probe import data_sheet_flops, probe_flops, products, work  # noqa: E402
from results import Round, results, table, timed  # noqa: E402
from turns import Report, Step, started  # noqa: E402
from workload import (  # noqa: E402
    GPT2,
    N_PROMPT,
    POOL,
    TINY,
    WARM_UPS,
    Turns,
    Workload,
    count_tokens,
    draw_lengths,
    plan_steps,
    row_tokens,
    sampled,
    useful_flops,
    useful_tokens,
)


def test_useful_flops_are_those_of_the_block_and_head_matrices_and_of_causal_attention():
    length = 100
    blocks = 12 * (768 * 2304 + 768 * 768 + 2 * 768 * 3072)
    head = 50257 * 768
    causal = 2 * 2 * 12 * 768 * length * length / 2
    forward = 2 * blocks * length + 2 * head * (length - N_PROMPT) + causal
    assert useful_flops(GPT2, np.array([length])) == pytest.approx(3 * forward)


def test_a_useful_token_of_gpt2_costs_about_the_published_six_times_its_parameters():
    lengths = draw_lengths(GPT2, 4000)
    per_token = useful_flops(GPT2, lengths) / useful_tokens(lengths)
    assert per_token == pytest.approx(6 * 124e6, rel=0.1)


def test_lengths_have_the_median_asked_for_and_fit_the_context():
    lengths = draw_lengths(GPT2, 20_000)
    assert np.median(lengths) == pytest.approx(N_PROMPT + GPT2.median, rel=0.03)
    assert lengths.max() == GPT2.context
    assert lengths.min() > N_PROMPT


def test_steps_begin_with_the_smallest_and_the_largest_batch_and_spread_over_all_sizes():
    sizes = np.random.default_rng(0).permutation(100).tolist()
    steps = plan_steps(sizes, Turns(rounds=5, untimed=0, timed=1))
    run = [sizes[place] for place in steps]
    assert run[:WARM_UPS] == [0, 99]
    assert sorted(run[WARM_UPS:-1]) == [10, 30, 50, 70, 90]


def test_every_turn_begins_with_its_untimed_steps_on_the_largest_batch():
    turns = Turns(rounds=3, untimed=1, timed=4)
    steps = plan_steps(list(range(50)), turns)
    assert len(steps) == WARM_UPS + 3 * 5 + 1
    assert [steps[WARM_UPS + 5 * place] for place in range(3)] == [49] * 3


def test_sampled_batches_are_neighbours_in_the_samplers_order():
    order = np.random.default_rng(0).permutation(80).tolist()
    batches = [order[at : at + 8] for at in range(0, 80, 8)]
    chosen = sampled(order, 8, [10] * 80, Turns(3, 0, 1))
    assert len(chosen) == WARM_UPS + 3 + 1
    assert all(batch in batches for batch in chosen)


def test_tokens_are_counted_by_what_their_ids_are_for():
    padding, prompt, completion = 0, 7, 321
    batch = torch.tensor(
        [[prompt, completion, completion, padding], [prompt, prompt, completion, 999]]
    )
    assert count_tokens(batch).tolist() == [4, 8, 1]


def test_the_probe_multiplies_by_every_weight_of_a_step():
    workload = Workload("", "cpu", "fp32", 1, GPT2, 8, Turns(1, 0, 1))
    weights = 12 * 12 * 768 * 768 + 50257 * 768
    assert probe_flops(workload) == 6 * 2048 * weights
    assert products(TINY, 64)[-1] == (64, 32, 1000, 1)


def test_the_table_divides_ours_by_each_in_the_rounds_they_shared_and_names_who_failed():
    def report(useful: int) -> Report:
        return Report([Step(1.0, useful, 1000, 250)], 1.5)

    def rounds(ours: int, other: int) -> list[Round]:
        return [Round(report(0), report(ours * rate), report(other * rate)) for rate in (1, 2, 3)]

    shared = {"slow": rounds(200, 100), "late": rounds(100, 100)}
    rows = results("ours", shared, Turns(3, 0, 1), possible=800.0)
    assert [row.ratio for row in rows] == [1.0, 2.0, 1.0]
    assert rows[0].useful_tokens_per_s == 250
    assert rows[1].spread == (100, 300)
    assert rows[1].mfu == 0.25
    assert rows[1].padding == 0.25
    lines = table(rows, {"other": "out of memory"}).splitlines()
    assert lines[3] == "| slow | 200 | 100 to 300 | 2.00 x | 25% | 1.5 | 25% |"
    assert lines[-1].startswith("| other | fails: out of memory |")


def test_untimed_steps_are_left_out_of_a_turn():
    turn = Report([Step(9.0, 9, 9, 9), Step(1.0, 2, 3, 0), Step(2.0, 3, 4, 1)], 1.0)
    assert timed(turn, Turns(1, untimed=1, timed=2)) == Step(3.0, 5, 7, 1)


def test_the_script_measures_everyone_on_a_tiny_model(tmp_path: Path):
    out = tmp_path / "training.json"
    command = ["--tiny", "--rounds", "1", "--sequences", "4", "--threads", "1"]
    command += ["--precision", "bf16", "--json", str(out)]
    done = run([str(BENCHMARKS / "training.py"), *command], script=FORKED)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())["precisions"]
    assert list(found) == ["bf16"]
    for measured in found.values():
        assert measured["failed"] == {}
        assert measured["probe_gflops"] > 0
        rows = {row["name"]: row for row in measured["rows"]}
        assert set(rows) == {
            "careergpt",
            "careergpt, padded",
            "Trainer, longest",
            "Trainer, grouped",
            "SFTTrainer, packed",
            "PyTorch loop",
        }
        assert rows["careergpt"]["ratio"] == 1
        assert rows["careergpt"]["padding"] == 0
        assert rows["Trainer, longest"]["padding"] > rows["Trainer, grouped"]["padding"]
        # Ours takes a turn in every round of each other.
        assert [len(row["rounds"]) for row in rows.values()] == [5, 1, 1, 1, 1, 1]
        assert all(row["peak_gib"] > 0 for row in rows.values())
        assert all(done.stdout.count(f"| {name} |") == 1 for name in rows)
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_contenders_are_started_anew_and_take_turns():
    workload = Workload("", "cpu", "fp32", 1, TINY, 4, Turns(1, 0, 1))
    for device in ("cpu", "cuda"):
        assert pickle.loads(pickle.dumps((ours, *peers(device).values(), workload)))
    with started(work, workload) as probe:
        assert [len(probe.go(steps).steps) for steps in (2, 1)] == [2, 1]
        assert probe.alive
    assert not probe.alive


def test_our_packed_steps_hold_as_many_examples_as_the_peers():
    from careergpt.data.rows import Budget, plan_batches

    lengths = draw_lengths(GPT2, POOL * 8)
    budget = Budget(row_tokens(lengths, 8), None)
    assert len(plan_batches(lengths, np.arange(len(lengths)), budget, seed=0, epoch=0)) == POOL


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--rounds", "0"], "--rounds: must be a whole number of 1 or more, found '0'"),
        (["--device", "tpu"], "--device: invalid choice: 'tpu'"),
        (["--fast"], "unrecognized arguments: --fast"),
    ],
)
def test_a_bad_option_is_one_line_and_code_2(options: list[str], complaint: str, capsys):
    from training import parsed

    with pytest.raises(SystemExit) as ended:
        parsed(options)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_data_sheet_is_known_by_the_gpu_s_name_and_for_bf16_alone() -> None:
    assert data_sheet_flops("NVIDIA H100 80GB HBM3", "bf16") == 989e12
    assert data_sheet_flops("NVIDIA H100 80GB HBM3", "fp32") is None
    assert data_sheet_flops("Some other", "bf16") is data_sheet_flops(None, "bf16") is None
