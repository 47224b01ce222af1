"""Help: the first page of `--help`, examples of each verb, and the option that was meant."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches

_MODEL = ("config", "model.pretrained", "data.source", "data.columns", "data.splits")
_DEVICE = ("trainer.accelerator", "trainer.devices", "trainer.precision", "ckpt_path")

COMMON: dict[str, tuple[str, ...]] = {
    "fit": (
        *_MODEL, "data.separators", "data.tasks", "data.max_length", "data.batch_tokens",
        "model.scratch.n_layer", "model.scratch.n_head", "model.scratch.n_embd",
        "model.scratch.n_positions", "model.scratch.vocabulary", "model.lr", "model.dropout",
        "samples.prompts", *_DEVICE, "trainer.default_root_dir", "trainer.max_epochs",
        "trainer.max_steps", "trainer.max_time", "trainer.accumulate_grad_batches",
        "trainer.logger", "seed_everything",
    ),
    "validate": (*_MODEL, *_DEVICE, "data.batch_tokens"),
    "test": (
        *_MODEL, *_DEVICE, "data.batch_tokens", "trainer.logger", "json", "queries", "fairness",
        "card",
    ),
    "predict": (
        *_MODEL, *_DEVICE, "data.prompts", "data.prompts_per_batch", "out",
        "model.decoding.max_new_tokens", "model.decoding.greedy", "model.decoding.temperature",
        "model.decoding.top_p", "model.decoding.seed",
    ),
    "audit": (
        "config", "data.source", "data.columns", "data.separators", "data.tasks", "data.splits",
        "data.tokenizer", "data.max_length", "data.cache", "out",
    ),
    "compare": (
        "config", "baseline", "finetuned", "data.source", "data.columns", "data.splits", "limit",
        "answers", "skills", "embedder", "equivalence", "gate", "seed", "device", "out", "wandb",
    ),
}  # fmt: skip
"""The options that most commands need, by verb; of other verbs all are shown."""

OF_LIGHTNING = {
    "config": "A YAML or JSON file; several are laid over each other, and what is typed over them.",
    "seed_everything": "Of all that is drawn.",
    "ckpt_path": "last, best, a run's folder or a checkpoint's file.",
    "trainer.accelerator": "cpu, gpu or auto.",
    "trainer.devices": "How many, a list of them, or auto.",
    "trainer.precision": "32-true, bf16-mixed, 16-mixed or another of Lightning's.",
    "trainer.logger": "Null: W&B beside metrics.jsonl, for fit; false: metrics.jsonl alone.",
    "trainer.max_epochs": "The run's end; -1: none.",
    "trainer.max_steps": "The run's end in optimizer steps; -1: none.",
    "trainer.max_time": "The run's end in time, as DD:HH:MM:SS.",
    "trainer.accumulate_grad_batches": "Batches of an optimizer step.",
    "trainer.default_root_dir": "The run's folder. Null: runs/<configuration>-<time>.",
}
"""What options that Lightning adds do here."""

EXAMPLES = {
    "fit": (
        "--config configs/demo.yaml",
        "--config configs/careers.yaml --data.source '[careers.jsonl,jobs.csv]'",
        "--config RUN/config.yaml --ckpt_path last",
    ),
    "validate": (
        "--model.pretrained RUN/model --data.source jobs.csv",
        "--config RUN/config.yaml --model.pretrained RUN/model",
        "--config RUN/config.yaml --ckpt_path best",
    ),
    "test": (
        "--config RUN/config.yaml --model.pretrained RUN/model --json results.json",
        "--model.pretrained RUN/model --data.source other.csv --data.splits all",
        "--config RUN/config.yaml --model.pretrained RUN/model --fairness 100 --card true",
    ),
    "predict": (
        "--model.pretrained RUN/model --data.prompts data/prompts.txt --out answers.jsonl",
        "--model.pretrained RUN/model --data.source jobs.csv --data.splits all",
        "--model.pretrained gpt2 --data.prompts questions.jsonl --model.decoding.greedy true",
    ),
    "audit": (
        "--data.source jobs.csv",
        "--data.source jobs.csv --data.columns.position_title 'Job Title'",
        "--config configs/careers.yaml --data.source careers.jsonl --data.tokenizer gpt2",
    ),
    "cache": (
        "--data.cache .cache/careergpt",
        "--limit 10GB",
        "--data.cache /shared/cache --limit 500MB",
    ),
    "compare": (
        "--config RUN/config.yaml --baseline gpt2 --finetuned RUN/model",
        "--baseline RUN/baseline --finetuned RUN/model --data.source jobs.csv --limit 500",
        "--baseline A/model --finetuned B/model C/model --data.source new.csv --data.splits all",
    ),
    "recommend": (
        "--model.pretrained RUN/model --position 'Registered nurse'",
        "--model.pretrained RUN/model --history 'Intern; Analyst' --skills 'sql, excel'",
        "--model.pretrained RUN/model --input people.jsonl --format json",
    ),
    "serve": (
        "--model.pretrained RUN/model",
        "--model.pretrained RUN/model --baseline RUN/baseline --port 8000",
        "--model.pretrained RUN/model --host 0.0.0.0 --wait 5",
    ),
    "sweep": (
        "--config configs/sweep.yaml --trials 20 --workers 2",
        "--config configs/sweep.yaml --trials 20 --confirm 3",
        "--config SWEEP.yaml --trials 100 --workers 4 --out SHARED_FOLDER/sweep",
    ),
    "export": (
        "--model.pretrained RUN/model --format onnx --out exports/onnx",
        "--model.pretrained RUN/model --format ctranslate2 --out exports/ct2 --limit 50",
        "--model.pretrained RUN/model --format hf --out exports/hf",
    ),
    "tables": (
        "onet db_24_2_text --out onet.jsonl",
        "onet db_24_2_text.zip --out onet.jsonl",
        "esco ESCO --out esco.jsonl",
    ),
    "fetch-model": (
        "smollm2 --out models/smollm2",
        "some-model.gguf --out models/some",
        "../weights/other.Q8_0.gguf --out models/other",
    ),
}
"""Three commands a verb, without their beginning."""

_UNKNOWN = (
    re.compile(r"unrecognized arguments: --(?P<option>[^\s=]+)"),
    re.compile(r"Group '(?P<group>\S+)' does not accept option '(?P<option>\S+)'"),
    re.compile(r"(?:does not accept option|Option) '(?P<option>\S+)'"),
)


def ending(verb: str) -> str:
    """What stands below the options of a verb."""
    lines = ["examples:", *(f"  python main.py {verb} {rest}" for rest in EXAMPLES.get(verb, ()))]
    if verb in COMMON:
        lines = ["more options: --help all, or --help WORD: those with it in their names", *lines]
    return "\n".join(("", *lines, ""))


def meant(message: str, options: Mapping[str, str]) -> str:
    """The options that a parser's message about an unknown one may mean, as `; did you mean …?`.

    `options` are what each option is for, by its name.
    """
    found = next(filter(None, (pattern.search(message) for pattern in _UNKNOWN)), None)
    if found is None:
        return ""
    group = found.groupdict().get("group")
    name = f"{group}.{found['option']}" if group else found["option"]
    own = name.rpartition(".")[2]
    last = {option.rpartition(".")[2]: option for option in options}
    words = re.split(r"[._-]", own.lower())
    near = (
        [last[own]] if own in last else [],
        get_close_matches(name, options, 1, 0.8),
        [last[short] for short in get_close_matches(own, last, 1, 0.8)],
        [option for option, text in options.items() if all(w in text.lower() for w in words)],
    )
    told = " or ".join(f"--{option}" for option in next(filter(None, near), [])[:2])
    return f"; did you mean {told}?" if told else ""
