"""`Trajectory`: what is kept of a sampling run, so that its steps can be looked at afterwards. It belongs to one visitor and is bounded in bytes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from ddpm_space.sampling import Frame, ReverseStep, open_step
from ddpm_space.schedule import NoiseSchedule

BYTE_BUDGET = 20_000_000
FEWEST_KEPT = 12


@dataclass
class Trajectory:
    """Frames of one run, all of them if they fit the budget, else every n-th and the last; empty until `begin`."""

    schedule: NoiseSchedule = field(default_factory=NoiseSchedule.linear)
    frames: list[Frame] = field(default_factory=list)
    total: int = 0
    seconds: float = 0.0
    finished: bool = False
    _begun: float = 0.0

    def begin(self, schedule: NoiseSchedule) -> None:
        """Start the clock of a run on a model's training schedule."""
        self.schedule = schedule
        self._begun = time.perf_counter()

    def add(self, frame: Frame) -> None:
        """Keep a frame; the one before it goes if it does not fit."""
        if self.frames and self.frames[-1].index % self._stride(frame) and frame.index < frame.total - 1:
            self.frames.pop()
        self.frames.append(frame)
        self.total = frame.total
        self.finished = frame.index == frame.total - 1
        self.seconds = time.perf_counter() - self._begun

    def opened(self, position: int, image: int) -> ReverseStep:
        """Open the kept step at `position`; both numbers are brought into range.

        Returns:
            the step's parts for one image, tensors (1, C, H, W).
        """
        frame = self.frames[max(0, min(position, len(self.frames) - 1))]
        image = max(0, min(image, len(frame.x_t) - 1))
        one = slice(image, image + 1)
        noise = None if frame.noise is None else frame.noise[one]
        alone = replace(frame, x_t=frame.x_t[one], x_0_hat=frame.x_0_hat[one], x_prev=frame.x_prev[one], noise=noise)
        return open_step(alone, self.schedule)

    @staticmethod
    def _stride(frame: Frame) -> int:
        frame_bytes = 4 * frame.x_t.numel() * frame.x_t.element_size()
        kept = max(FEWEST_KEPT, BYTE_BUDGET // frame_bytes)
        return -(-frame.total // kept)
