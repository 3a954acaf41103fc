"""What a run says while it works: a bar on a terminal, plain lines in a file, log.jsonl for plots, and the trackers."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from accelerate import Accelerator
from diffusers import UNet2DModel
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from training.cost import utilisation_meter

LINE_EVERY = 15.0
"""Seconds between two lines where there is no terminal for a bar."""

LOG = "log.jsonl"


class Reporter:
    """Progress of the main process; the others say nothing.

    Args:
        run: folder of the run, where log.jsonl is kept; a resumed run goes on in it, without what it had logged after its checkpoint, and a new run
            in the same folder sets the old one aside as log.jsonl.old.
        steps: of the whole run; first_step: where this process began; images_a_step: on all processes; is_main: whether this one speaks.
        seconds: of training before first_step.
        track: where metrics go besides, called as track(metrics, step=...), such as `accelerator.log`.
        utilisation: images/s -> share of the machine's arithmetic that the network's FLOPs make up; None leaves it out.
    """

    def __init__(
        self,
        run: Path,
        steps: int,
        first_step: int,
        images_a_step: int,
        is_main: bool,
        *,
        seconds: float = 0.0,
        track: Callable[..., Any] | None = None,
        utilisation: Callable[[float], float] | None = None,
    ) -> None:
        self.run, self.steps, self.first_step, self.images_a_step, self.is_main = run, steps, first_step, images_a_step, is_main
        self.track, self.utilisation = track, utilisation
        self.bar: Progress | None = None
        self.file: IO[str] | None = None
        self.last_line, self.last = 0.0, (first_step, seconds)

    def __enter__(self) -> Reporter:
        if self.is_main:
            self.run.mkdir(parents=True, exist_ok=True)
            if self.first_step:
                forget_after(self.run / LOG, self.first_step)
            elif (self.run / LOG).exists():
                os.replace(self.run / LOG, self.run / f"{LOG}.old")
            self.file = (self.run / LOG).open("a", encoding="utf-8")
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

    def log(self, step: int, metrics: dict[str, float]) -> None:
        """Report some numbers of a step: to log.jsonl, to the trackers and, where they tell of training, on the screen.

        Args:
            step: steps done; metrics: by name. "seconds", the time spent on training since the run began, becomes images/s since the last such call;
                with it "loss" is expected too.
        """
        if self.file is None:
            return
        if "seconds" in metrics:
            metrics = {**metrics, "seconds": round(metrics["seconds"], 2), **self._speed(step, metrics["seconds"])}
        entry = {"step": step, "images": step * self.images_a_step, **metrics}
        # JSON has no word for NaN.
        self.file.write(json.dumps({name: value if math.isfinite(value) else None for name, value in entry.items()}) + "\n")
        self.file.flush()
        if self.track:
            self.track({name: value for name, value in entry.items() if name != "step"}, step=step)
        if "images_per_second" in metrics:
            self._show(step, metrics)

    def note(self, text: str) -> None:
        """Say one sentence, above the bar if there is one."""
        if self.bar:
            self.bar.console.print(text, markup=False, highlight=False)
        elif self.is_main:
            print(text, file=sys.stderr, flush=True)

    def _speed(self, step: int, seconds: float) -> dict[str, float]:
        (last_step, last_seconds), self.last = self.last, (step, seconds)
        if not (step > last_step and seconds > last_seconds):
            return {}
        speed = (step - last_step) * self.images_a_step / (seconds - last_seconds)
        return {"images_per_second": speed, **({"utilisation": self.utilisation(speed)} if self.utilisation else {})}

    def _show(self, step: int, metrics: dict[str, float]) -> None:
        speed, now = metrics["images_per_second"], time.monotonic()
        text = f"loss {metrics.get('loss', math.nan):.4f}  {speed:.0f} images/s"
        if "utilisation" in metrics:
            text += f"  {metrics['utilisation']:.0%} of peak"
        if self.bar:
            self.bar.update(self.task, completed=step, description=text)
        elif now - self.last_line >= LINE_EVERY or step == self.steps:
            self.last_line = now
            left = (self.steps - step) * self.images_a_step / speed
            print(f"step {step}/{self.steps}  {text}  {left / 60:.1f} min left", file=sys.stderr, flush=True)


def open_reporter(
    accelerator: Accelerator, unet: UNet2DModel, run: Path, steps: int, first_step: int, images_a_step: int, seconds: float
) -> Reporter:
    """The reporter of a training run: its speed is held against what this machine can do, which the main process first measures for a second.

    Args:
        accelerator: also leads to the trackers; unet: what is trained; the others as for `Reporter`.
    """
    is_main, utilisation = accelerator.is_main_process, None
    if is_main:
        utilisation = utilisation_meter(unet, accelerator.device, accelerator.mixed_precision, accelerator.num_processes)
    return Reporter(run, steps, first_step, images_a_step, is_main, seconds=seconds, track=accelerator.log, utilisation=utilisation)


def forget_after(log: Path, step: int) -> None:
    """Take out of a log what a run wrote after the checkpoint that it now goes on from, and a line that was cut short when it was killed."""
    if not log.is_file():
        return
    found = log.read_text(encoding="utf-8", errors="replace")
    kept = "".join(line + "\n" for line in found.splitlines() if _step(line) <= step)
    if kept != found:
        draft = log.with_name(f".{log.name}.draft")
        draft.write_text(kept, encoding="utf-8")
        os.replace(draft, log)


def _step(line: str) -> float:
    try:
        return json.loads(line)["step"]
    except (ValueError, TypeError, KeyError):
        return math.inf
