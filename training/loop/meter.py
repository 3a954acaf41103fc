"""What the loop measures: sums kept where the network lives, and looked at only when a line is logged, since looking makes a device wait."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import Tensor

from training.objective import Losses

QUARTERS = 4
"""The chain is logged in four parts: "loss_q1" is that of the quarter with the least noise."""


class Meter:
    """Means since the last reading, over images, micro-batches and processes.

    Args:
        num_timesteps: T; device: where the losses are.
    """

    def __init__(self, num_timesteps: int, device: torch.device | str) -> None:
        self.num_timesteps, self.device = num_timesteps, torch.device(device)
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        # Rows: images, importance weights, and the three losses times these; columns: quarters of the chain.
        self.sums = torch.zeros(5, QUARTERS, device=self.device)
        # Steps whose gradient norm was a number, the sum of these norms, and their largest.
        self.norms = torch.zeros(3, device=self.device)
        self.has_vlb = False

    @torch.no_grad()
    def add(self, t: Tensor, losses: Losses, importance: Tensor) -> None:
        """Count a micro-batch: t int64 (B,) on the CPU, its losses, and the importance weight (B,) of each."""
        quarter = (t * QUARTERS // self.num_timesteps).to(self.device, non_blocking=True)
        weight = importance.to(self.device, torch.float32, non_blocking=True)
        self.has_vlb = losses.vlb is not None
        vlb = torch.zeros_like(weight) if losses.vlb is None else losses.vlb
        rows = [torch.ones_like(weight), weight, *(weight * value.to(weight) for value in (losses.weighted, losses.squared_error, vlb))]
        self.sums.index_add_(1, quarter, torch.stack(rows))

    @torch.no_grad()
    def add_norm(self, norm: Tensor) -> None:
        """Count a step's gradient norm; one that overflowed in half precision, where the step is left out, is no number."""
        norm = torch.as_tensor(norm, dtype=torch.float32, device=self.device)
        finite = norm.isfinite()
        norm = torch.where(finite, norm, 0.0)
        self.norms = torch.stack([self.norms[0] + finite, self.norms[1] + norm, torch.maximum(self.norms[2], norm)])

    def read(self, accelerator: Accelerator | None = None) -> dict[str, float]:
        """The means since the last reading, over all processes; then begins anew.

        Returns:
            "loss" as it is minimised, "squared_error", "vlb" in bits/dim without L_T where a variance is learned, "loss_q1" to "loss_q4" of the
            quarters that were visited, "gradient_norm" and "gradient_norm_max" where a step was made.
        """
        sums = self.sums if accelerator is None else accelerator.reduce(self.sums, reduction="sum")
        images, weight, loss, squared_error, vlb = sums.cpu().double()
        steps, norm, largest = self.norms.tolist()
        total = max(1.0, float(images.sum()))
        found = {"loss": float(loss.sum()) / total, "squared_error": float(squared_error.sum()) / total}
        if self.has_vlb:
            found["vlb"] = float(vlb.sum()) / total
        # Within a quarter the timesteps may be drawn unevenly: the weights say how much of it each stands for.
        found |= {f"loss_q{i + 1}": float(loss[i] / weight[i]) for i in range(QUARTERS) if weight[i] > 0}
        if steps:
            found |= {"gradient_norm": norm / steps, "gradient_norm_max": largest}
        self.clear()
        return found
