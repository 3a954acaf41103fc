"""`DeviceTable`: finished coefficients by timestep, kept once per device and dtype, so that a look-up never waits for an accelerator."""

from __future__ import annotations

import torch
from torch import Tensor


class DeviceTable:
    """A float64 table of coefficients with one column a timestep.

    Args:
        columns: (rows, T) float64 on the CPU.
    """

    def __init__(self, columns: Tensor) -> None:
        self._columns = columns
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def at(self, t: Tensor, like: Tensor) -> tuple[Tensor, ...]:
        """Look the columns up at t, where `like` lives and in its dtype.

        Args:
            t: integers of one element or (B,); on the CPU they are checked, on an accelerator they are not read here.
            like: (B, ...) the sample that the coefficients will multiply.
        Returns:
            one tensor a row, each (B, 1, ..., 1).
        Raises:
            ValueError: t is no integer, has the wrong length or, on the CPU, is outside [0, T).
        """
        if t.is_floating_point():
            raise ValueError(f"timesteps must be integers, not {t.dtype}")
        if t.numel() not in (1, like.shape[0]):
            raise ValueError(f"{t.numel()} timesteps for a batch of {like.shape[0]}: pass one timestep, or one a sample")
        if t.device.type == "cpu":
            lowest, highest = torch.aminmax(t)
            if lowest < 0 or highest >= self._columns.shape[1]:
                wrong = int(lowest if lowest < 0 else highest)
                raise ValueError(f"timestep {wrong} is outside the chain: use 0 <= t <= {self._columns.shape[1] - 1}")
        key = (like.device, like.dtype)
        if key not in self._copies:
            self._copies[key] = self._columns.to(like.dtype).to(like.device)
        found = self._copies[key].index_select(1, t.reshape(-1).to(like.device, non_blocking=True))
        return found.reshape(len(found), -1, *[1] * (like.ndim - 1)).unbind()


def place_in(timesteps: Tensor, t: Tensor) -> int | None:
    """Find which element of `timesteps` the tensor t is a view of, without reading either; None if it is not one.

    Args:
        timesteps: 1-D; t: one element, such as `for t in timesteps` yields.
    """
    if t.device != timesteps.device or t.untyped_storage().data_ptr() != timesteps.untyped_storage().data_ptr():
        return None
    place, rest = divmod(t.storage_offset() - timesteps.storage_offset(), timesteps.stride(0))
    return place if rest == 0 and 0 <= place < len(timesteps) else None
