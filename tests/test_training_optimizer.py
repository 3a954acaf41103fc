"""A step of the optimizer: Muon against torch's own and against singular values, and what it leaves to AdamW."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.config import make_config
from training.model import build_unet
from training.optimizer import RMS, Muon, inner_matrices, make_optimizer, orthogonalized


def matrix(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unet() -> nn.Module:
    config = make_config({"resolution": 8, "channels": 3, "block_out_channels": (8, 16), "attention_levels": (), "attention_head_dim": 8})
    return build_unet(config)


@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_singular_values_come_near_1_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    matrices = torch.stack([matrix(*shape), 1e-3 * matrix(*shape, seed=1)]).double()
    found = orthogonalized(matrices)
    for before, after in zip(matrices, found):
        U, S, Vh = torch.linalg.svd(before, full_matrices=False)
        turned = U.mT @ after @ Vh.mT
        assert (turned - turned.diagonal().diag()).abs().max() < 1e-8
        kept = turned.diagonal()[S / S.norm() > 0.01]
        assert len(kept) > 10 and kept.min() > 0.65 and kept.max() < 1.25, kept
    assert orthogonalized(torch.zeros(1, 3, 4)).abs().max() == 0


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_it_moves_matrices_as_torchs_own_muon_does(weight_decay: float) -> None:
    """torch multiplies in bfloat16, of 8 significant bits; two matrices of one shape are done at once here, and one by one there."""
    ours = [nn.Parameter(matrix(*shape, seed=seed)) for seed, shape in enumerate([(16, 40), (40, 16), (16, 40)])]
    theirs = [nn.Parameter(weight.detach().clone()) for weight in ours]
    optimizer = Muon(ours, [], lr=0.02, weight_decay=weight_decay)
    other = torch.optim.Muon(theirs, lr=0.02, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
    before = [weight.detach().clone() for weight in ours]
    for step in range(5):
        for index, (mine, other_s) in enumerate(zip(ours, theirs)):
            mine.grad = matrix(*mine.shape, seed=100 + 10 * step + index)
            other_s.grad = mine.grad.clone()
        optimizer.step()
        other.step()
    for mine, other_s, start in zip(ours, theirs, before):
        moved = (mine - start).norm()
        assert (mine - other_s).norm() < 0.02 * moved


def test_a_kernel_is_the_matrix_that_its_convolution_multiplies_patches_with() -> None:
    kernel, flat = nn.Parameter(matrix(8, 4, 3, 3)), nn.Parameter(matrix(8, 4, 3, 3).reshape(8, 36))
    x, wanted = matrix(5, 4, 6, 6, seed=1), matrix(5, 8, 6, 6, seed=2)
    optimizers = [Muon([weight], [], lr=0.1, weight_decay=0.0) for weight in (kernel, flat)]
    patches = nn.functional.unfold(x, 3, padding=1)
    for _ in range(4):
        for optimizer in optimizers:
            optimizer.zero_grad()
        (nn.functional.conv2d(x, kernel, padding=1) - wanted).square().mean().backward()
        ((flat @ patches).reshape(wanted.shape) - wanted).square().mean().backward()
        for optimizer in optimizers:
            optimizer.step()
    assert (kernel.flatten(1) - flat).abs().max() < 1e-4
    # Nearly orthogonal, so that the root mean square of the first update is known: 0.2 lr, up to the iteration's 0.7 to 1.2.
    start, moved = matrix(8, 36), nn.Parameter(matrix(8, 36))
    optimizer = Muon([moved], [], lr=0.1, weight_decay=0.0)
    moved.grad = matrix(8, 36, seed=3)
    optimizer.step()
    size = (moved - start).square().mean().sqrt()
    assert 0.7 < size / (RMS * 0.1) < 1.2


def test_the_rest_of_the_network_is_adamws() -> None:
    network = unet()
    names = {id(weight): name for name, weight in network.named_parameters()}
    inner = {names[id(weight)] for weight in inner_matrices(network)}
    assert "conv_in.weight" not in inner and "conv_out.weight" not in inner and "mid_block.resnets.0.conv1.weight" in inner
    assert not any(name.endswith("bias") or "norm" in name for name in inner)
    twin = copy.deepcopy(network)
    options: dict[str, Any] = {"learning_rate": 0.01, "weight_decay": 0.1, "adam_beta1": 0.8}
    optimizer, plain = make_optimizer(make_config({"optimizer": "muon", **options}), network), make_optimizer(make_config(options), twin)
    assert isinstance(optimizer, Muon) and not isinstance(plain, Muon)
    for step in range(3):
        for index, (mine, other) in enumerate(zip(network.parameters(), twin.parameters())):
            mine.grad = matrix(*mine.shape, seed=1000 * step + index)
            other.grad = mine.grad.clone()
        optimizer.step()
        plain.step()
        assert all(weight.grad is not None for weight in network.parameters()), "gradients are as they were after a step"
    for (name, mine), other in zip(network.named_parameters(), twin.parameters()):
        difference = (mine - other).abs().max()
        assert difference > 1e-3 if name in inner else difference < 1e-6, name


def test_weights_without_a_gradient_stay() -> None:
    weights = [nn.Parameter(matrix(4, 6)), nn.Parameter(matrix(4, 6, seed=1)), nn.Parameter(matrix(5))]
    optimizer = Muon(weights[:2], weights[2:], lr=0.1)
    weights[0].grad = matrix(4, 6, seed=2)
    loss = optimizer.step(lambda: torch.tensor(3.0))
    assert loss == 3 and not torch.equal(weights[0], matrix(4, 6))
    assert torch.equal(weights[1], matrix(4, 6, seed=1)) and torch.equal(weights[2], matrix(5))


def test_a_loss_scaler_skips_the_whole_step_where_gradients_overflow() -> None:
    weights = [nn.Parameter(matrix(4, 6)), nn.Parameter(matrix(5))]
    optimizer, scaler = Muon(weights[:1], weights[1:], lr=0.1), torch.amp.GradScaler("cpu")
    scaler.scale(weights[0].sum() + weights[1].sum() * torch.inf).backward()
    scaler.step(optimizer)
    assert torch.equal(weights[0], matrix(4, 6)) and torch.equal(weights[1], matrix(5))
    scaler.update()
    optimizer.zero_grad()
    scaler.scale(weights[0].sum() + weights[1].sum()).backward()
    scaler.step(optimizer)
    assert not torch.equal(weights[0], matrix(4, 6)) and not torch.equal(weights[1], matrix(5))
