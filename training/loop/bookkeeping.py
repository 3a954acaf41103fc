"""What a run does before, between and after its steps: go on from a checkpoint, log, evaluate, keep, draw, stop, publish."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from training.batches import Batches
from training.config import ConfigError, TrainConfig
from training.data import ImageStream, Pictures, TrainingData
from training.evaluation.findings import Evaluation
from training.evaluation.heldout import HeldOut, stopped_falling
from training.hub import Publisher
from training.learning_rate import learning_rates
from training.loop.checkpoint import Checkpoint, Trained, restore, save_checkpoint
from training.loop.folders import claimed, clean_up
from training.loop.meter import Meter
from training.loop.outputs import Outputs
from training.loop.processes import on_main, say
from training.loop.progress import open_reporter
from training.loop.resume import check_progress, plain, same_held_out, set_aside
from training.loop.stopping import Stopped, StopSignals
from training.loop.trackers import start_trackers, track_image
from training.loop.watch import Diverged, Watch


@dataclass
class Bookkeeper:
    """Keeps the books of a run; every method must be called by all processes.

    Args:
        trained: what changes while training; batches, data: what it learns from; outputs: what it leaves behind.
        meter: of the losses; watch: over every step; signals: that may ask for an end.
    """

    config: TrainConfig
    accelerator: Accelerator
    trained: Trained
    batches: Batches
    data: TrainingData
    outputs: Outputs
    meter: Meter
    watch: Watch
    signals: StopSignals

    def __post_init__(self) -> None:
        self.run, self.images_a_step = Path(self.config.output_dir), self.batches.global_batch
        self.steps = math.ceil(self.config.train_images / self.images_a_step)
        self.learning_rate = learning_rates(self.config, self.steps)
        self.publisher = Publisher(self.config) if self.config.push_to_hub else None
        self.first_step, self.seconds, self.loss = 0, 0.0, math.nan
        self.history: list[tuple[int, float, float]] = []

    def begin(self, checkpoint: Checkpoint | None) -> None:
        """Prove the right to publish, go on where a checkpoint ends if there is one, and open the log."""
        if self.publisher:
            on_main(self.accelerator, self.publisher.prove)
        for note in self.data.notes:
            say(note)
        if checkpoint is not None:
            self._go_on(checkpoint)
        self.reporter = open_reporter(self.accelerator, self.outputs.unet, self.run, self.steps, self.first_step, self.images_a_step, self.seconds)
        on_main(self.accelerator, lambda: start_trackers(self.accelerator, self.config, self.first_step))

    def _go_on(self, checkpoint: Checkpoint) -> None:
        size, threads = data_size(self.data.train), torch.get_num_threads()
        shared = {"processes": self.accelerator.num_processes, "batch_size": self.config.batch_size}
        check_progress(checkpoint, images_a_step=self.images_a_step, steps=self.steps, data_size=size, threads=threads, say=say, **shared)
        restore(checkpoint, self.trained)
        on_main(self.accelerator, lambda: set_aside(self.run, checkpoint.progress["images"], say))
        progress = checkpoint.progress
        self.first_step, self.seconds, self.loss = progress["step"], progress["seconds"], progress["loss"]
        if same_held_out(progress["options"], self.config):
            self.history = [(images, mean, error) for images, mean, error in progress["history"]]
        if isinstance(self.data.train, ImageStream):
            self.data.train.load_state_dict(progress["streams"][self.accelerator.process_index])
            say(self.data.train.loses)
        say(f"going on after {progress['images']:,} images, from {checkpoint.folder}")

    def after(self, done: int, seconds: float) -> None:
        """What is due between two steps: a line of the log, an evaluation, a checkpoint, a grid, an end that was asked for.

        Args:
            done: steps; seconds: that the last one took.
        """
        config = self.config
        self.seconds += seconds
        if done % config.log_every == 0 or done == self.steps:
            self.log(done)
        if done == self.steps:
            return
        if self.is_due(done, config.eval_every) and not self.watch.ask():
            self.evaluate(done)
            self.watch.ask()  # it may have been cut short
        if self.watch.stop or self.is_due(done, config.checkpoint_every):
            self.keep(done)
        if self.watch.stop:
            raise Stopped(self.farewell(done))
        if self.is_due(done, config.sample_every):
            self.grid(done)

    def catch_up(self) -> None:
        """Do the evaluation that a stop forestalled at the step which the run goes on from."""
        done = self.first_step
        is_judged = any(images == done * self.images_a_step for images, *_ in self.history)
        if 0 < done < self.steps and self.is_due(done, self.config.eval_every) and not is_judged:
            self.evaluate(done)

    def is_due(self, done: int, every: int) -> bool:
        """Whether a multiple of `every` images was passed in the last step."""
        return bool(every) and done * self.images_a_step // every > (done - 1) * self.images_a_step // every

    def log(self, done: int) -> None:
        """Report the means since the last line, over all processes."""
        found = self.meter.read(self.accelerator)
        self.loss = found["loss"]
        self.reporter.log(done, {**found, "learning_rate": self.learning_rate(done - 1), "seconds": self.seconds})

    def evaluate(self, done: int, found: HeldOut | None = None) -> None:
        """Note the bits/dim of the held-out images, and say when they have stopped falling."""
        self.watch.settle()
        found = found or self.outputs.held_out()
        if found is None:
            return
        self.history.append((done * self.images_a_step, found.mean, found.standard_error))
        self.reporter.log(done, {"held_out_bits_per_dim": found.mean, "held_out_error": found.image_error})
        self.reporter.note(f"held-out: {found}")
        hint = stopped_falling(self.history)
        if hint:
            self.reporter.note(hint)

    def grid(self, done: int) -> None:
        """Draw samples; the same noise each time."""
        picture = self.outputs.grid(done * self.images_a_step)
        if picture is not None:
            track_image(self.accelerator, "samples", picture, done)

    def keep(self, done: int, *, checkpoint: bool = True, evaluation: Evaluation | None = None) -> None:
        """Write a checkpoint and the model as it is by now; nothing that is no number is ever written."""
        self.watch.settle()
        if not self.trained.is_finite():
            raise Diverged(
                f"after step {done} some weights are no numbers: training has diverged, and nothing of it was written. Lower learning_rate "
                f"(it is {self.config.learning_rate:g}), and go on from the last checkpoint with --resume latest"
            )
        stream = self.data.train if isinstance(self.data.train, ImageStream) else None
        facts = {"step": done, "images": done * self.images_a_step, "seconds": self.seconds, "loss": self.loss, "history": self.history}
        made_of = {"images_a_step": self.images_a_step, "data_size": data_size(self.data.train), "threads": torch.get_num_threads()}
        made_of["processes"] = self.accelerator.num_processes
        streams = gather_object([stream.state_dict()]) if stream else []

        def write() -> None:
            if checkpoint:
                progress = {**facts, **made_of, "streams": streams, "options": plain(self.config)}
                save_checkpoint(self.run, self.trained, progress, self.config.keep_checkpoints)
            self.outputs.model(steps=done, images=done * self.images_a_step, seconds=self.seconds, loss=self.loss, evaluation=evaluation)

        on_main(self.accelerator, write)

    def finish(self) -> Path:
        """Save first, then judge, show and publish what was trained."""
        config, done = self.config, self.steps
        self.keep(done, checkpoint=config.checkpoint_every > 0)
        self.signals.ends_with = Stopped(self.farewell(done))
        if self.watch.ask():  # also while that was written
            raise Stopped(self.farewell(done))
        self.grid(done)
        evaluation = self.outputs.evaluation()
        if evaluation.held_out is not None:
            self.evaluate(done, evaluation.held_out)
        self.keep(done, checkpoint=False, evaluation=evaluation)
        if self.publisher:
            publisher = self.publisher
            on_main(self.accelerator, lambda: publisher.push(self.run / "model", f"{done * self.images_a_step:,} images seen"))
        return self.run / "model"

    def farewell(self, done: int) -> str:
        """What a person reads when a run was stopped."""
        at = f"stopped by {self.signals.received or 'a signal'} after step {done:,} of {self.steps:,} ({done * self.images_a_step:,} images)"
        if done == self.steps and not self.config.checkpoint_every:
            return f"{at}; the finished model is in '{self.run / 'model'}', neither evaluated nor pushed"
        return f"{at}; all is saved in '{self.run}': go on with the same command and --resume latest"


def prepare_folder(run: Path) -> None:
    """Make the run's folder, keep other runs out of it, and clear away what a killed one may have left half done."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output_dir = '{run}' cannot be made ({error}): set another") from error
    if not claimed(run):
        raise ConfigError(f"output_dir: another run is at work in '{run}': wait for its end, or set another")
    for folder in (run, run / "checkpoints"):
        for name in clean_up(folder):
            say(f"put '{folder / name}' back, which a killed run had set aside")


def data_size(data: Pictures | ImageStream) -> int | None:
    """Training images; None for a stream."""
    return None if isinstance(data, ImageStream) else len(data)
