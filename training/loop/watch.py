"""What a step came to, looked at without making an accelerator wait: each step is judged while the next one is already on its way.

All processes see the same numbers, so that they stop at the same step: for a loss that is no number, or because one of them was asked to stop.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from training.batches import Batch
from training.loop.stopping import StopSignals


class Diverged(RuntimeError):
    """The loss is no number any more."""


@dataclass(frozen=True)
class Step:
    """One step of the optimizer: its number, its forward passes with their losses (B,) an image, and what all processes saw: loss, norm, stop."""

    number: int
    batches: Sequence[Batch]
    losses: Sequence[Tensor]
    seen: Tensor


class Watch:
    """Judges the steps of a run, each one step late.

    Args:
        accelerator: of the run; signals: that may ask for an end; run: folder for a batch that broke; learning_rate: named in the advice.
    """

    def __init__(self, accelerator: Accelerator, signals: StopSignals, run: Path, learning_rate: float) -> None:
        self.accelerator, self.signals, self.run, self.learning_rate = accelerator, signals, run, learning_rate
        self.pending: Step | None = None
        self.stop = False

    def note(self, number: int, batches: Sequence[Batch], losses: Sequence[Tensor], norm: Tensor) -> None:
        """Hand in a finished step, and judge the one before.

        Args:
            losses: (B,) for each forward pass, what was minimised, detached; norm: of the gradients, the same on all processes.
        Raises:
            Diverged: the step before had no loss.
        """
        mean = torch.stack([part.mean() for part in losses]).mean()
        asked = torch.full_like(mean, float(self.signals.received is not None))
        seen = self.accelerator.reduce(torch.stack([mean, norm.to(mean), asked]), reduction="mean")
        before, self.pending = self.pending, Step(number, batches, losses, seen)
        if before is not None:
            self._judge(before)

    def ask(self) -> bool:
        """Whether any process was asked to stop by now, which `note` says a step late; every process must call it."""
        asked = torch.tensor(float(self.signals.received is not None), device=self.accelerator.device)
        self.stop = self.stop or bool(self.accelerator.reduce(asked, reduction="sum") > 0)
        return self.stop

    def settle(self) -> None:
        """Judge the last step too: before anything of it is kept. Raises Diverged."""
        if self.pending is not None:
            self._judge(self.pending)

    def _judge(self, step: Step) -> None:
        loss, norm, asked = step.seen.tolist()
        self.stop = self.stop or asked > 0
        # A loss scaler (float16) meets infinite gradients on purpose, skips their step and goes on.
        if math.isfinite(loss) and (math.isfinite(norm) or self.accelerator.scaler is not None):
            return
        what = f"the loss is {loss}" if not math.isfinite(loss) else f"the loss is {loss:.4g} but the norm of its gradients {norm}"
        try:
            kept = f"Its images, timesteps, noise and losses are in '{self._keep(step)}'"
        except (OSError, SafetensorError) as error:  # a full disk, say: no reason to hide the other trouble
            kept = f"Its images could not be kept ({error})"
        raise Diverged(
            f"step {step.number + 1}: {what}: training has diverged. {kept}; no checkpoint and no "
            f"model has been written since. Lower learning_rate (it is {self.learning_rate:g}) or try --mixed_precision no, "
            "and go on from the last checkpoint with --resume latest"
        )

    def _keep(self, step: Step) -> Path:
        """Write the batch of a step, all processes' parts, for a look at what broke it."""
        file = self.run / "diverged" / f"step-{step.number + 1}.safetensors"
        parts = {
            "x_0": torch.cat([batch.x_0 for batch in step.batches]),
            "t": torch.cat([batch.t for batch in step.batches]),
            "eps": torch.cat([batch.eps for batch in step.batches]),
            "loss": torch.cat(list(step.losses)),
        }
        together = {name: self.accelerator.gather(part.to(self.accelerator.device).contiguous()).cpu() for name, part in parts.items()}
        if self.accelerator.is_main_process:
            file.parent.mkdir(parents=True, exist_ok=True)
            draft = file.with_suffix(".part")
            save_file(together, draft, metadata={"format": "pt"})
            os.replace(draft, file)
        return file
