"""The peers: the Trainer of transformers, TRL's SFTTrainer, and a loop of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from turns import Gate
from workload import PADDING, RATE, Workload, sampled

from careergpt.data.token_file import TokenStore


def trainer(workload: Workload, gate: Gate, grouped: bool = False) -> None:
    """Trainer of transformers, padding to the longest of a batch; grouped: by its own sampler."""
    from transformers import Trainer, TrainingArguments

    store = workload.pool()
    arguments = TrainingArguments(
        train_sampling_strategy="group_by_length" if grouped else "random",
        **_arguments(workload, workload.sequences),
    )
    _in_turns(Trainer, workload, gate)(
        model=_model(workload),
        args=arguments,
        train_dataset=_Examples(store),
        data_collator=_pad,
    ).train()


def sft_trainer(workload: Workload, gate: Gate) -> None:
    """TRL's SFTTrainer with packing as it comes: "bfd", best-fit rows of the model's context.

    A step has the rows that hold the tokens of `sequences` examples. TRL documents this packing
    for FlashAttention alone. Under SDPA it lays a batch's rows end to end, and transformers, which
    finds the examples in the positions, keeps them apart by a mask of all tokens by all tokens:
    so batches are small here, and accumulated.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    store, context = workload.pool(), workload.sizes.context
    rows = 4 if workload.device == "cuda" else 1
    batches = max(round(workload.sequences * store.length.mean() / context / rows), 1)
    arguments = SFTConfig(
        packing=True,
        max_length=context,
        gradient_accumulation_steps=batches,
        gradient_checkpointing=False,  # TRL would save memory by working twice.
        **_arguments(workload, rows),
    )
    _in_turns(SFTTrainer, workload, gate)(
        model=_model(workload),
        args=arguments,
        train_dataset=Dataset.from_list(list(_Examples(store))),
        processing_class=AutoTokenizer.from_pretrained(workload.model, trust_remote_code=False),
    ).train()


def plain_loop(workload: Workload, gate: Gate) -> None:
    """What one writes first: a shuffled loader, the library's model and loss, backward, step."""
    store, device = workload.pool(), workload.device
    model = _model(workload).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0, fused=True)
    order = torch.randperm(len(store), generator=torch.Generator().manual_seed(0)).tolist()
    examples = _Examples(store)
    for places in sampled(order, workload.sequences, store.length, workload.turns):
        gate.step()
        batch = {name: ids.to(device) for name, ids in _pad([examples[i] for i in places]).items()}
        gate.count(batch["input_ids"])
        with torch.autocast(device, torch.bfloat16, enabled=workload.half):
            loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


class _Examples:
    """The pool as the peers want it: dictionaries, labels of prompts -100."""

    def __init__(self, store: TokenStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        if index >= len(self):
            raise IndexError(index)
        ids, n_prompt = self._store.token_ids(index).tolist(), int(self._store.n_prompt[index])
        return {"input_ids": ids, "labels": [-100] * n_prompt + ids[n_prompt:]}


def _pad(examples: Sequence[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Padded to the longest, with the mask that every collator of the libraries makes."""
    columns = {
        "input_ids": ([example["input_ids"] for example in examples], PADDING),
        "labels": ([example["labels"] for example in examples], -100),
        "attention_mask": ([[1] * len(example["input_ids"]) for example in examples], 0),
    }
    return {
        name: torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, fill)
        for name, (rows, fill) in columns.items()
    }


def _model(workload: Workload):
    from transformers import GPT2LMHeadModel

    return GPT2LMHeadModel.from_pretrained(
        workload.model,
        attn_implementation="sdpa",
        dtype=torch.float32,
        trust_remote_code=False,
    )


def _arguments(workload: Workload, rows: int) -> dict[str, Any]:
    """What Trainer and SFTTrainer are both told; `rows` of their dataset make a batch."""
    return {
        "output_dir": workload.folder,
        "per_device_train_batch_size": rows,
        "num_train_epochs": 1,
        "learning_rate": RATE,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.0,
        "max_grad_norm": 0.0,
        "optim": "adamw_torch_fused",
        "save_strategy": "no",
        "logging_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": workload.device == "cpu",
        "bf16": workload.half,
        "dataloader_pin_memory": workload.device == "cuda",
    }


def _in_turns(library: type, workload: Workload, gate: Gate) -> type:
    """The library's trainer, which waits at each step and runs a sample of its own order."""
    from transformers import TrainerCallback

    class TakeTurns(TrainerCallback):
        def on_step_begin(self, args, state, control, **_) -> None:
            gate.step()

    class InTurns(library):
        def __init__(self, **settings) -> None:
            super().__init__(callbacks=[TakeTurns()], **settings)

        def _get_train_sampler(self, dataset=None) -> list[int]:
            dataset = self.train_dataset if dataset is None else dataset
            lengths = [len(example["input_ids"]) for example in dataset]
            order = list(super()._get_train_sampler(dataset))
            size = self.args.train_batch_size * self.args.gradient_accumulation_steps
            batches = sampled(order, size, lengths, workload.turns)
            return [place for batch in batches for place in batch]

        def training_step(self, model, inputs, *rest, **named):
            gate.count(inputs["input_ids"])
            return super().training_step(model, inputs, *rest, **named)

    return InTurns
