"""The LightningModule: GPT-2 with its prompt tokens masked out of the loss."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import LightningModule
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.utilities import GradClipAlgorithmType, rank_zero_warn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.utils import get_total_norm
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from careergpt.data.batches import TokenBatch
from careergpt.data.prompts import Prompt
from careergpt.data.tokens import load_tokenizer, token_digests
from careergpt.errors import InputError
from careergpt.generation.decoding import Generated, generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.attention import checkpoint_blocks, compile_blocks
from careergpt.modeling.checks import check_folder, tokenizer_source
from careergpt.modeling.folder import (
    Scratch,
    build_model,
    context_of,
    pretrained_config,
    scratch_config,
    set_dropout,
)
from careergpt.modeling.loaded import keep_freed_memory
from careergpt.modeling.lora import LoRA, add_adapters, weights_digest
from careergpt.modeling.loss import TokenLoss, completion_loss, hidden_states, token_scores
from careergpt.training.metrics import CompletionMetrics, named_numbers
from careergpt.training.progress import slow_precision
from careergpt.training.steps import StepWatch, accumulated, planned_steps

# In fp16 the backward pass starts from nats / _SCALE, so that gradients stay in range; the scale is
# undone, exactly, when the step's number of tokens is known.
_SCALE = 4096.0

# Names in a model's configuration that do not decide what its weights mean.
_UNBUILDING = re.compile(r"^_|pdrop|dropout|version|dtype|cache|^return|^output|^chunk")


class CareerModule(LightningModule):
    """Learns completions; answers prompts."""

    def __init__(
        self,
        pretrained: str | None = None,
        scratch: Scratch = Scratch(),
        lr: float = 3e-4,
        weight_decay: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.95),
        warmup: float = 0.05,
        final_lr: float = 0.1,
        dropout: float = 0.1,
        attention_dropout: float = 0.0,
        lora: LoRA | None = None,
        gradient_checkpointing: bool = False,
        compile: bool = False,
        decoding: Decoding = Decoding(),
    ) -> None:
        """Reads the configuration and the tokenizer; the weights come when the Trainer asks.

        Args:
            pretrained: Hub name or folder of a causal language model.
            scratch: Sizes of the GPT-2 to train from random weights where none is named.
            lr: Highest learning rate of AdamW.
            weight_decay: Decay of matrices; biases and norms have none.
            betas: AdamW's averaging rates.
            warmup: Share of all steps in which the learning rate rises.
            final_lr: The share of lr that the cosine ends at.
            dropout: On embeddings and residual branches, in training.
            attention_dropout: On attention weights; above 0 it forgoes the fast kernels.
            lora: Train adapters of a pretrained model instead of its weights.
            gradient_checkpointing: Compute each block anew in the backward pass, and keep less.
            compile: Compile the blocks with torch.compile; pays on a GPU, not on a CPU.
            decoding: How answers are written.
        """
        super().__init__()
        rates = {"lr": lr, "weight_decay": weight_decay}
        _check(rates, "0 or more", lambda rate: 0 <= rate < math.inf)
        if lr == 0:
            raise InputError("model.lr is 0: nothing would be learned")
        shares = {"warmup": warmup, "final_lr": final_lr}
        _check(shares, "0 or more and at most 1", lambda share: 0 <= share <= 1)
        shares = {"dropout": dropout, "attention_dropout": attention_dropout}
        shares |= {f"betas[{place}]": beta for place, beta in enumerate(betas)}
        _check(shares, "0 or more and less than 1", lambda share: 0 <= share < 1)
        if lora is not None and pretrained is None:
            raise InputError("model.lora adapts a pretrained model: name it by --model.pretrained")
        self.pretrained, self.lora, self.decoding = pretrained, lora, decoding
        self.base_digest: str | None = None
        self._gradient_checkpointing = gradient_checkpointing
        self._lr, self._weight_decay, self._betas = lr, weight_decay, betas
        self._warmup, self._final_lr = warmup, final_lr
        self._compiled, self._vocabulary = compile, scratch.vocabulary
        if pretrained is not None:
            check_folder(pretrained)
        named = scratch.tokenizer if pretrained is None else tokenizer_source(pretrained)
        self.tokenizer_source = named
        self.tokenizer = load_tokenizer(self.tokenizer_source)
        self._tokens_are = token_digests(self.tokenizer)
        if pretrained is None:
            self._config = scratch_config(scratch, self.tokenizer)
        else:
            self._config = pretrained_config(pretrained, self.tokenizer)
        set_dropout(self._config, dropout, attention_dropout)
        self.context = context_of(self._config)
        self._nats_and_tokens = torch.zeros(2)  # Of the optimizer step under way.
        self._steps = StepWatch()

    def built_by(self) -> dict[str, Any]:
        """What the weights are of: plain values, to be compared with those of another day."""
        config = {
            name: value
            for name, value in self._config.to_dict().items()
            if isinstance(value, int | float | str) and not _UNBUILDING.search(name)
        }
        source = self.pretrained
        if source is not None and Path(source).is_dir():
            source = str(Path(source).resolve())
        return {
            "--model.pretrained": source,
            **{f"its tokens' {name}": told[:16] for name, told in self._tokens_are.items()},
            "--model.scratch.vocabulary": self._vocabulary,
            "--model.lora": self.lora and self.lora.built_by(),
            "what --model.pretrained holds": self.base_digest,
            **config,
        }

    def configure_model(self) -> None:
        """Loads or makes the weights, once."""
        if not hasattr(self, "model"):
            self.model = build_model(self._config, self.pretrained)
            if self.lora is not None and self.pretrained is not None:
                # A state holds the adapters alone: they are worth nothing beside other weights.
                self.base_digest = weights_digest(self.model)
                add_adapters(self.model, self.lora, self.pretrained)
            if self._gradient_checkpointing:
                checkpoint_blocks(self.model)
            if self._compiled:
                compile_blocks(self.model)

    def setup(self, stage: str) -> None:
        """Makes the metrics for the tasks that the data module has."""
        if stage == "fit" and self.trainer.strategy.root_device.type == "cpu":
            keep_freed_memory()
        self.quality = CompletionMetrics(list(self.trainer.datamodule.tasks))  # type: ignore[attr-defined]

    def on_fit_start(self) -> None:
        """Makes sure that dropout is on: from_pretrained gives a model in eval mode."""
        self.model.train()
        if warning := slow_precision(self.trainer.precision, self.device):
            rank_zero_warn(warning)

    def on_train_start(self) -> None:
        """Lets the configuration decide the rates where a checkpoint brought others."""
        scheduler, optimizer = self.lr_schedulers(), self.optimizers()
        assert isinstance(scheduler, LambdaLR)
        assert isinstance(optimizer, LightningOptimizer)
        share = scheduler.lr_lambdas[0](scheduler.last_epoch)
        # Lightning looks a schedule up as an epoch starts: who goes on within one has missed that.
        epoch = self.trainer.current_epoch
        self.trainer.accumulate_grad_batches = accumulated(self.trainer, epoch)
        for group in optimizer.param_groups:
            decay = self._weight_decay if group["params"][0].ndim >= 2 else 0.0
            group |= {"lr": self._lr * share, "initial_lr": self._lr}
            group |= {"betas": self._betas, "weight_decay": decay}
        scheduler.base_lrs = [self._lr for _ in scheduler.base_lrs]

    def on_train_batch_start(self, batch: TokenBatch, batch_idx: int) -> None:
        """Draws dropout from the batch's number alone: what came before need not be known."""
        data, loop = self.trainer.datamodule, self.trainer.fit_loop  # type: ignore[attr-defined]
        words = np.random.SeedSequence([data.seed, self.global_rank, loop.total_batch_idx])
        torch.manual_seed(int(words.generate_state(1, np.uint64)[0]) >> 1)

    def training_step(self, batch: TokenBatch, batch_idx: int) -> Tensor:
        """The batch's sum of nats, scaled; `on_before_optimizer_step` divides by the tokens."""
        loss = self.loss(batch)
        self._steps.add(batch.examples)
        added = torch.stack([loss.nats.detach(), loss.tokens.to(loss.nats.dtype)])
        self._nats_and_tokens = self._nats_and_tokens.to(self.device) + added
        # Lightning divides by the number of accumulated batches.
        return loss.nats * (self.trainer.accumulate_grad_batches / self._scale())

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Makes the gradient that of the mean over all tokens of the step, on all ranks."""
        nats, tokens = self.trainer.strategy.reduce(self._nats_and_tokens, reduce_op="sum")
        self._nats_and_tokens = torch.zeros(2, device=self.device)
        gradients = [p.grad for p in self.parameters() if p.grad is not None]
        # DDP has averaged over ranks.
        torch._foreach_mul_(gradients, self.trainer.world_size * self._scale() / tokens)
        self._keep_from_breaking(nats, gradients, optimizer)
        self.log("train/loss", nats / tokens, prog_bar=True)
        # Filled there: a number sent to a GPU would wait for all its work.
        rate = torch.full((), optimizer.param_groups[0]["lr"], device=self.device)
        self.log("train/lr", rate)

    def check_steps(self) -> None:
        """Raises InputError where a step's loss or gradient broke since the last check."""
        self._steps.check(self.trainer)

    def on_train_epoch_end(self) -> None:
        """Tells of a step that broke since the last logged one."""
        self.check_steps()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips as Lightning does without mixed precision.

        With it, Lightning refuses a fused optimizer, which would unscale fp16 gradients itself;
        ours is fused only where nothing is scaled (`configure_optimizers`).
        """
        algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
        plugin = self.trainer.precision_plugin
        Precision.clip_gradients(plugin, optimizer, gradient_clip_val or 0.0, algorithm)

    def _scale(self) -> float:
        return _SCALE if self.trainer.precision in ("16-mixed", "16-true") else 1.0

    def loss(self, batch: TokenBatch) -> TokenLoss:
        """Nats of the batch's completion tokens, and how many there are."""
        head = self.model.get_output_embeddings().weight
        return completion_loss(hidden_states(self.model, batch), batch, head, self._compiled)

    def validation_step(self, batch: TokenBatch, batch_idx: int) -> None:
        """Adds the batch to the sums."""
        self.quality.update(token_scores(self.model, batch), batch)

    def on_validation_epoch_end(self) -> None:
        """Logs val/loss, val/perplexity …, in all and by task; of the starting model too.

        Lightning's check before training logs nothing: what is logged here counts for no checkpoint
        and no early stop. A check of a few batches is no first point.
        """
        self._log_quality("val")
        trainer = self.trainer
        if trainer.sanity_checking and trainer.num_sanity_val_batches == trainer.num_val_batches:
            for logger in trainer.loggers:
                logger.log_metrics(dict(named_numbers("val", self.last_quality)), step=0)

    def test_step(self, batch: TokenBatch, batch_idx: int) -> None:
        """Adds the batch to the sums."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Logs test/loss, test/perplexity …, in all and by task."""
        self._log_quality("test")

    def predict_step(self, batch: list[Prompt], batch_idx: int) -> list[Generated]:
        """An answer to each prompt."""
        return generate(self.model, self.tokenizer, batch, self.decoding, self.context)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with decay on matrices only; linear warm-up, then a cosine to `final_lr`."""
        trained = [p for p in self.parameters() if p.requires_grad]
        if not trained:
            raise InputError("nothing can be learned: every weight of the model is frozen")
        matrices = [p for p in trained if p.ndim >= 2]
        vectors = [p for p in trained if p.ndim < 2]
        decays = ((matrices, self._weight_decay), (vectors, 0.0))
        # Frozen weights may leave one of them empty, of which no optimizer makes sense.
        groups = [{"params": part, "weight_decay": decay} for part, decay in decays if part]
        # The fused step unscales fp16 gradients itself, which Lightning cannot join with clipping.
        fused = self.trainer.precision != "16-mixed"
        optimizer = AdamW(groups, lr=self._lr, betas=self._betas, fused=fused)
        total = planned_steps(self.trainer)
        rates = LambdaLR(
            optimizer, lambda step: lr_share(step, total, self._warmup, self._final_lr)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step"}}

    def _keep_from_breaking(
        self, nats: Tensor, gradients: list[Tensor], optimizer: torch.optim.Optimizer
    ) -> None:
        """Makes the optimizer pass over this step and all later ones once one is not finite.

        A GPU is asked only where it is waited for anyway, so it must know by itself.
        """
        sound = torch.isfinite(nats)
        if self.trainer.precision != "16-mixed":  # There Lightning scales gradients until they are.
            sound = sound & torch.isfinite(get_total_norm(gradients))
        broke = self._steps.end(self.global_step, sound)
        if optimizer.defaults.get("fused"):
            optimizer.found_inf = broke.float()  # type: ignore[attr-defined]
            every = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
            if self.device.type == "cuda" and (not every or (self.global_step + 1) % every):
                return
        self.check_steps()

    def _log_quality(self, stage: str) -> None:
        self.last_quality = self.quality.compute()
        self.quality.reset()
        self.log_dict(dict(named_numbers(stage, self.last_quality)))


def lr_share(step: int, total: int, warmup: float, final: float) -> float:
    """The share of the highest learning rate at a step: a linear rise, then half a cosine."""
    rise = max(round(warmup * total), 1)
    if step < rise:
        return (step + 1) / rise
    progress = min((step - rise) / max(total - rise, 1), 1.0)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))


def _check(options: dict[str, float], allowed: str, fits: Callable[[float], bool]) -> None:
    for name, found in options.items():
        if not fits(found):
            raise InputError(f"model.{name} must be {allowed}, found {found}")
