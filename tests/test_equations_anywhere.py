"""Every equation works for any batch shape, with one coefficient or one a sample, on any device, and makes no float64 where that may be missing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from formulas import anywhere_rows
from formulas.anywhere import SAMPLE, Call, coefficient, results
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ddpm_space.notes.equations import EQUATIONS

ROWS, REASONS = anywhere_rows()

FLOAT64_ON_THE_DEVICE = {
    "N8.discretized_log_likelihood": "a bin's mass is a difference of two tails: float64 where the device has it",
}
"""Equations that may make float64 tensors out of float32 samples, and why."""

IN_SHAPES = [(equation_id, shape) for equation_id, row in ROWS.items() for shape in row.shapes]


def test_every_equation_has_a_row_or_a_reason() -> None:
    missing = set(EQUATIONS) - set(ROWS) - set(REASONS)
    assert not missing, (
        f"say how to call {sorted(missing)} in ANYWHERE of their row's file, or why not in NOT_ANYWHERE: see tests/formulas/__init__.py"
    )
    assert (set(ROWS) | set(REASONS) | set(FLOAT64_ON_THE_DEVICE)) <= set(EQUATIONS), "no such equation in the registry"
    assert set(ROWS).isdisjoint(REASONS)
    assert all(len(reason.split()) >= 3 for reason in (*REASONS.values(), *FLOAT64_ON_THE_DEVICE.values())), "say why"


def expected_shape(kind: str, row: Call, shape: tuple[int, ...], per_sample: bool) -> tuple[int, ...]:
    if kind == "sample":
        return shape
    if kind == "batch":
        return shape[:1]
    return shape[:1] if per_sample and row.takes(coefficient) else ()


def check_shapes(equation_id: str, shape: tuple[int, ...], per_sample: bool) -> tuple[list[Any], dict[str, Any]]:
    row = ROWS[equation_id]
    inputs = row.inputs(shape, per_sample)
    got = [tuple(value.shape) for value in results(equation_id, inputs)]
    assert got == [expected_shape(kind, row, shape, per_sample) for kind in row.outputs]
    return inputs


@pytest.mark.parametrize(("equation_id", "shape"), IN_SHAPES, ids=str)
def test_any_shape_with_one_coefficient(equation_id: str, shape: tuple[int, ...]) -> None:
    """A sample's result does not depend on the shape that it stands in."""
    row = ROWS[equation_id]
    inputs = check_shapes(equation_id, shape, per_sample=False)
    if not shape:
        inside = row.mapped(lambda kind, value: value[None] if kind is SAMPLE else value, inputs)
        for kind, alone, batched in zip(row.outputs, results(equation_id, inputs), results(equation_id, inside), strict=True):
            torch.testing.assert_close(alone, batched[0] if kind == "sample" else batched)


@pytest.mark.parametrize(("equation_id", "shape"), [pair for pair in IN_SHAPES if pair[1] and ROWS[pair[0]].takes(coefficient)], ids=str)
def test_one_coefficient_a_sample(equation_id: str, shape: tuple[int, ...]) -> None:
    """The batch's result holds, for each sample, what that sample gives alone with its own coefficients."""
    row = ROWS[equation_id]
    inputs = check_shapes(equation_id, shape, per_sample=True)
    together = results(equation_id, inputs)
    for i in range(shape[0]):

        def one(kind: object, value: Any, i: int = i) -> Any:
            return value[i : i + 1] if kind is SAMPLE else value[i] if isinstance(kind, coefficient) else value

        for kind, whole, alone in zip(row.outputs, together, results(equation_id, row.mapped(one, inputs)), strict=True):
            torch.testing.assert_close(whole[i], alone if kind == "coefficient" else alone[0], rtol=1e-12, atol=1e-12)


class Float64Seen(TorchDispatchMode):
    """Notes every operation that makes a float64 tensor on the samples' device."""

    def __init__(self, device: str) -> None:
        super().__init__()
        self.device = device
        self.operations: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        leaves = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        if any(leaf.device.type == self.device and leaf.dtype == torch.float64 for leaf in leaves):
            self.operations.append(str(func))
        return out


@pytest.mark.parametrize("per_sample", [False, True], ids=["one coefficient", "one a sample"])
@pytest.mark.parametrize("equation_id", [equation_id for equation_id, row in ROWS.items() if row.takes(SAMPLE)])
def test_samples_of_any_dtype_on_any_device(equation_id: str, per_sample: bool) -> None:
    """float32 samples on a device that is not the CPU: results there and in float32, and no float64 on it on the way."""
    row = ROWS[equation_id]

    def moved(kind: object, value: Any) -> Any:
        follows = kind is SAMPLE or (isinstance(kind, Tensor) and kind.is_floating_point())
        return value.to("meta", torch.float32) if follows else value

    inputs = row.mapped(moved, row.inputs(row.shapes[-1], per_sample))
    with Float64Seen("meta") as seen:
        outputs = results(equation_id, inputs)
    allowed = equation_id in FLOAT64_ON_THE_DEVICE
    assert allowed or not seen.operations, f"float64 on the samples' device, made by {seen.operations}"
    for kind, value in zip(row.outputs, outputs, strict=True):
        device, dtype = ("cpu", torch.float64) if kind == "coefficient" else ("meta", torch.float32)
        assert value.device.type == device
        assert value.dtype == dtype or value.dtype == torch.bool or allowed


@pytest.mark.parametrize("equation_id", [equation_id for equation_id, row in ROWS.items() if row.takes(coefficient)])
def test_coefficients_of_lower_precision_are_formed_in_float64(equation_id: str) -> None:
    row = ROWS[equation_id]
    inputs = row.inputs(row.shapes[-1], per_sample=True)
    low = row.mapped(lambda kind, value: value.float() if isinstance(kind, coefficient) else value, inputs)
    high = row.mapped(lambda kind, value: value.float().double() if isinstance(kind, coefficient) else value, inputs)
    for one, other in zip(results(equation_id, low), results(equation_id, high), strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_a_float64_on_the_device_is_seen() -> None:
    with Float64Seen("meta") as seen:
        torch.ones(2, device="meta").double()
        torch.ones(2, device="meta") * 2
    assert len(seen.operations) == 1
