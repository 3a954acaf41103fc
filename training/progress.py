"""What a run says while it works: a bar on a terminal, plain lines in a file, and log.jsonl for plots."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import IO, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY = 15.0
"""Seconds between two lines where there is no terminal for a bar."""


class Reporter:
    """Progress of the main process; the others say nothing."""

    def __init__(self, run: Path, steps: int, first_step: int, images_a_step: int, is_main: bool) -> None:
        self.run, self.steps, self.first_step, self.images_a_step, self.is_main = run, steps, first_step, images_a_step, is_main
        self.bar: Progress | None = None
        self.file: IO[str] | None = None
        self.last_line, self.start = 0.0, time.monotonic()

    def __enter__(self) -> Reporter:
        if self.is_main:
            self.run.mkdir(parents=True, exist_ok=True)
            self.file = (self.run / "log.jsonl").open("a", encoding="utf-8")
            if sys.stderr.isatty():
                columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), TimeRemainingColumn())
                self.bar = Progress(*columns, console=Console(stderr=True))
                self.bar.start()
                self.task = self.bar.add_task("starting", total=self.steps, completed=self.first_step)
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar:
            self.bar.stop()
        if self.file:
            self.file.close()

    def log(self, step: int, loss: float, rate: float, norm: float, seconds: float) -> None:
        """Report the mean loss since the last call."""
        if self.file is None:
            return
        images, now = step * self.images_a_step, time.monotonic()
        entry = {"step": step, "images": images, "loss": loss, "learning_rate": rate, "gradient_norm": norm, "seconds": round(seconds, 2)}
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()
        speed = (step - self.first_step) * self.images_a_step / (now - self.start)
        text = f"loss {loss:.4f}  {speed:.0f} images/s"
        if self.bar:
            self.bar.update(self.task, completed=step, description=text)
        elif now - self.last_line >= LINE_EVERY or step == self.steps:
            self.last_line = now
            left = (self.steps - step) * self.images_a_step / speed
            print(f"step {step}/{self.steps}  {text}  {left / 60:.1f} min left", file=sys.stderr, flush=True)
