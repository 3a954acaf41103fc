"""What a step of the optimizer is: AdamW, or Muon for what the network multiplies with and AdamW for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from training.config import TrainConfig

ENDS = ("conv_in.", "conv_out.")
"""The layers next to the image, where a channel is a grey level and not one of many alike: AdamW's, as the author of Muon advises."""

MOMENTUM = 0.95
STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the odd polynomial that is applied five times: every singular value between about 0.01 and 1 ends between 0.7 and 1.2 [Jordan 2024]."""

RMS = 0.2
"""Root mean square of an update, in learning rates, as AdamW's usually is: what holds for one is then of the size of what holds for the other."""


def make_optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.AdamW:
    """Build the optimizer of a config.

    Args:
        config: optimizer, learning_rate, adam_beta1, adam_beta2 and weight_decay are read; network: its parameters, on their device already.
    """
    how: dict[str, Any] = {"lr": config.learning_rate, "betas": (config.adam_beta1, config.adam_beta2), "weight_decay": config.weight_decay}
    if config.optimizer == "adamw":
        return torch.optim.AdamW(network.parameters(), fused=True, **how)
    matrices = inner_matrices(network)
    chosen = {id(weight) for weight in matrices}
    return Muon(matrices, [weight for weight in network.parameters() if id(weight) not in chosen], **how)


def inner_matrices(network: nn.Module) -> list[nn.Parameter]:
    """The weights that Muon moves: of the linear layers and the convolutions, but for the first and the last one."""
    return [weight for name, weight in network.named_parameters() if weight.ndim >= 2 and not name.startswith(ENDS)]


class Muon(torch.optim.AdamW):
    """Muon: the momentum of a matrix is made nearly orthogonal, so that every direction in it moves by the same amount [Jordan 2024].

    torch's own class takes matrices alone and goes through them one by one in bfloat16, which few CPUs compute in. Here a kernel (out, in, h, w) is
    the matrix (out, in h w), those of one shape are done together, and the products are in float32. The update has the size that torch calls
    `match_rms_adamw` [Liu 2025]. The rest is AdamW, in the same step.

    Args:
        matrices: each with two or more dimensions; others: any. lr, weight_decay: of both; betas: AdamW's.
    """

    def __init__(self, matrices: Sequence[nn.Parameter], others: Sequence[nn.Parameter], **how: Any) -> None:
        groups = [{"params": list(weights)} for weights in (matrices, others) if len(weights)]
        # Not fused: a loss scaler leaves it to a fused optimizer to skip a step whose gradients overflowed, and Muon's part would not know.
        super().__init__(groups, **how)
        self._alike: dict[tuple[int, int, torch.device], list[nn.Parameter]] = {}
        for weight in matrices:
            self._alike.setdefault((len(weight), weight[0].numel(), weight.device), []).append(weight)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every weight that has a gradient, once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        held: list[tuple[nn.Parameter, Tensor]] = []
        for alike in self._alike.values():
            held += self._move([weight for weight in alike if weight.grad is not None])
        super().step()
        for weight, gradient in held:
            weight.grad = gradient
        return loss

    def _move(self, weights: list[nn.Parameter]) -> list[tuple[nn.Parameter, Tensor]]:
        """Move matrices of one shape, and hide their gradients from AdamW; returns them."""
        if not weights:
            return []
        group = self.param_groups[0]
        held, directions = [], []
        for weight in weights:
            gradient: Tensor = weight.grad
            state = self.state[weight]
            if not state:  # AdamW's class wants a step in every state that it loads
                state.update(step=torch.tensor(0.0), momentum_buffer=torch.zeros_like(weight))
            state["step"] += 1
            momentum = state["momentum_buffer"].lerp_(gradient, 1 - MOMENTUM)
            directions.append(gradient.lerp(momentum, MOMENTUM).flatten(1))  # Nesterov's
            weight.grad = None
            held.append((weight, gradient))
        size = group["lr"] * RMS * math.sqrt(max(directions[0].shape))
        for weight, update in zip(weights, orthogonalized(torch.stack(directions))):
            weight.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update.reshape(weight.shape), alpha=size)
        return held


def orthogonalized(matrices: Tensor) -> Tensor:
    """Take every singular value near 1 by five steps of a Newton-Schulz iteration, the singular vectors as they are [Jordan 2024].

    Args:
        matrices: (N, rows, columns) float32. One that is 0 stays 0.
    """
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if is_tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x
