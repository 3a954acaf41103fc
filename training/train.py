"""Train a DDPM: diffusers' UNet2DModel, the notes' noise and loss, accelerate for the machine.

    accelerate launch training/train.py --config quick                    # two minutes on 2 CPU cores, bundled data
    accelerate launch training/train.py --config mnist                    # the bundled model
    accelerate launch -m training.train --dataset my_pictures/ --resolution 32 --channels 3 --output_dir runs/mine

The finished model is OUTPUT_DIR/model, a plain DDPMPipeline. `--help` lists every option; a run that was stopped goes on with `--resume latest`.
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from accelerate.utils import gather_object, set_seed
from diffusers.training_utils import EMAModel
from torch import Tensor

from ddpm_space.notes.forward import q_cumulative_sample
from training.batches import DROPOUT, Batch, Batches, derived_seed
from training.checkpoint import Trained, restore, save_checkpoint
from training.config import ConfigError, TrainConfig, parse
from training.data import DataError, ImageStream, Pictures, open_data
from training.evaluate import EvaluationSettings
from training.findings import Evaluation
from training.folders import DiskFull, clean_up
from training.heldout import HeldOut, stopped_falling
from training.hub import Publisher
from training.hub_commit import HubError
from training.learning_rate import learning_rates
from training.meter import Meter
from training.model import build_scheduler, build_unet
from training.objective import Objective
from training.outputs import Outputs
from training.processes import FailedElsewhere, is_first, on_main, say, start_processes
from training.progress import open_reporter
from training.resume import check_options, check_progress, choose_checkpoint, plain
from training.stopping import Stopped, StopSignals
from training.timesteps import make_sampler
from training.trackers import check_trackers, finish_trackers, start_trackers, track_image
from training.watch import Diverged, Watch


class Trainer:
    """One run: what it is made of, and the loop."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.run = config, Path(config.output_dir)
        check_trackers(config.trackers)
        settings = EvaluationSettings.of(config)
        self.scheduler = build_scheduler(config)
        self.accelerator = accelerator = start_processes(config)
        set_seed(config.seed)  # the same weights on every process
        unet = build_unet(config)
        self.publisher = Publisher(config) if config.push_to_hub else None
        on_main(accelerator, self.prepare_folder)
        self.checkpoint = choose_checkpoint(self.run, config.resume, say)
        if self.checkpoint:
            check_options(self.checkpoint.progress["options"], config, say)

        rank, world = accelerator.process_index, accelerator.num_processes
        with accelerator.local_main_process_first():
            self.data = open_data(config, rank=rank, world=world)
        self.sampler = make_sampler(config, len(self.scheduler))
        self.batches = Batches(self.data.train, self.sampler, config.batch_size, config.seed, config.gradient_accumulation_steps, rank, world)
        self.images_a_step = self.batches.global_batch
        self.steps = math.ceil(config.train_images / self.images_a_step)
        self.first_step, self.seconds, self.loss = 0, 0.0, math.nan
        self.history: list[tuple[int, float, float]] = []

        if config.channels_last:
            unet = unet.to(memory_format=torch.channels_last)
        betas = (config.adam_beta1, config.adam_beta2)
        optimizer = torch.optim.AdamW(unet.parameters(), lr=config.learning_rate, betas=betas, weight_decay=config.weight_decay, fused=True)
        self.network, self.optimizer = accelerator.prepare(unet, optimizer)
        self.unet = accelerator.unwrap_model(self.network)
        if config.compile:
            self.network = torch.compile(self.network)
        self.ema = EMAModel(self.unet.parameters(), decay=config.ema_decay, foreach=True)
        self.trained = Trained(self.unet, self.ema, self.optimizer, self.sampler, accelerator.scaler)
        self.objective = Objective(config, self.scheduler.schedule)
        self.learning_rate = learning_rates(config, self.steps)
        self.meter = Meter(len(self.scheduler), accelerator.device)
        self.signals = StopSignals()
        self.watch = Watch(accelerator, self.signals, self.run, config.learning_rate)
        self.outputs = Outputs(config, accelerator, self.unet, self.ema, self.scheduler, self.data, settings, self.signals)

    def train(self) -> Path:
        """Run from the first step (or the checkpoint's) to the last; returns the folder of the finished model.

        Raises:
            Stopped: by a signal, with everything saved; Diverged, DiskFull: the last checkpoint is intact.
        """
        self.begin()
        config, schedule, accelerator = self.config, self.scheduler.schedule, self.accelerator
        self.reporter = open_reporter(accelerator, self.unet, self.run, self.steps, self.first_step, self.images_a_step, self.seconds)
        on_main(accelerator, lambda: start_trackers(accelerator, config, self.first_step))
        self.unet.train()
        with self.signals, self.reporter:
            for step in range(self.first_step, self.steps):
                start = time.monotonic()
                batches, losses = [], []
                for part in range(config.gradient_accumulation_steps):
                    batch = self.batches.at(step, part)
                    x_0, eps, weight = self.placed(batch.x_0), self.placed(batch.eps), self.placed(batch.weight)
                    x_t = q_cumulative_sample(x_0, schedule.at(batch.t).alpha_bar_t, eps=eps)
                    self.seed_dropout(step, part)
                    with accelerator.accumulate(self.network):
                        output = self.network(x_t, self.placed(batch.t)).sample
                        found = self.objective.per_image(output, x_0, x_t, eps, batch.t)
                        accelerator.backward((weight * found.weighted).mean())
                    self.meter.add(batch.t, found, batch.weight)
                    batches.append(batch)
                    losses.append(found.weighted)
                norm = accelerator.clip_grad_norm_(self.network.parameters(), config.max_grad_norm)
                for group in self.optimizer.param_groups:
                    group["lr"] = self.learning_rate(step)
                self.optimizer.step()
                self.optimizer.zero_grad()
                self.ema.step(self.unet.parameters())
                self.meter.add_norm(norm)
                self.watch.note(step, batches, losses, norm)
                if self.sampler.needs_losses:
                    self.update_sampler(batches, losses)
                self.seconds += time.monotonic() - start
                self.after(step + 1)
            return self.finish()

    def prepare_folder(self) -> None:
        """Make the run's folder, without what a killed run may have left half done."""
        try:
            self.run.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"output_dir = '{self.run}' cannot be made ({error}): set another") from error
        for folder in (self.run, self.run / "checkpoints"):
            for name in clean_up(folder):
                say(f"put '{folder / name}' back, which a killed run had set aside")

    def placed(self, x: Tensor) -> Tensor:
        """Move a part of a batch to where the network is, images in its memory format."""
        layout = torch.channels_last if self.config.channels_last and x.ndim == 4 else torch.contiguous_format
        return x.to(self.accelerator.device, non_blocking=True).contiguous(memory_format=layout)

    def seed_dropout(self, step: int, part: int) -> None:
        """Dropout draws from the global generator: each forward pass begins it anew, so that a resumed run drops the same."""
        if self.unet.config.dropout:
            torch.manual_seed(derived_seed(self.config.seed, DROPOUT, step, part, self.accelerator.process_index))

    def update_sampler(self, batches: list[Batch], losses: list[Tensor]) -> None:
        """Tell the timestep sampler of every process the losses of all."""
        t = torch.cat([batch.t for batch in batches]).to(self.accelerator.device)
        self.sampler.update(self.accelerator.gather(t), self.accelerator.gather(torch.cat(losses).detach()))

    def after(self, done: int) -> None:
        """What is due between two steps: a line of the log, an evaluation, a checkpoint, a grid, an end that was asked for."""
        config = self.config
        if done % config.log_every == 0 or done == self.steps:
            self.log(done)
        if done == self.steps:
            return
        if self.is_due(done, config.eval_every):
            self.evaluate(done)
        if self.watch.stop or self.is_due(done, config.checkpoint_every):
            self.keep(done)
        if self.watch.stop:
            raise Stopped(self.farewell(done))
        if self.is_due(done, config.sample_every):
            self.grid(done)

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
        streams = gather_object([stream.state_dict()]) if stream else []

        def write() -> None:
            if checkpoint:
                progress = {**facts, **made_of, "streams": streams, "options": plain(self.config)}
                save_checkpoint(self.run, self.trained, progress, self.config.keep_checkpoints)
            self.outputs.model(steps=done, images=done * self.images_a_step, seconds=self.seconds, loss=self.loss, evaluation=evaluation)

        on_main(self.accelerator, write)

    def begin(self) -> None:
        """Prove the right to publish, and go on where the checkpoint ends if there is one."""
        if self.publisher:
            on_main(self.accelerator, self.publisher.prove)
        for note in self.data.notes:
            say(note)
        checkpoint, self.checkpoint = self.checkpoint, None
        if checkpoint is None:
            return
        size, threads = data_size(self.data.train), torch.get_num_threads()
        check_progress(checkpoint, images_a_step=self.images_a_step, steps=self.steps, data_size=size, threads=threads, say=say)
        restore(checkpoint, self.trained)
        progress = checkpoint.progress
        self.first_step, self.seconds, self.loss = progress["step"], progress["seconds"], progress["loss"]
        self.history = [(images, mean, error) for images, mean, error in progress["history"]]
        if isinstance(self.data.train, ImageStream):
            self.data.train.load_state_dict(progress["streams"][self.accelerator.process_index])
            say(self.data.train.loses)
        say(f"going on after {progress['images']:,} images, from {checkpoint.folder}")

    def finish(self) -> Path:
        """Save first, then judge, show and publish what was trained."""
        config, done = self.config, self.steps
        self.keep(done, checkpoint=config.checkpoint_every > 0)
        if self.watch.stop:
            raise Stopped(self.farewell(done))
        self.signals.ends_with = Stopped(self.farewell(done))
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
        images = done * self.images_a_step
        return (
            f"stopped by {self.signals.received or 'a signal'} after step {done:,} of {self.steps:,} ({images:,} images); all is saved in "
            f"'{self.run}': go on with the same command and --resume latest"
        )


def data_size(data: Pictures | ImageStream) -> int | None:
    """Training images; None for a stream."""
    return None if isinstance(data, ImageStream) else len(data)


def main(config: TrainConfig) -> Path:
    """Train; returns the folder of the finished model.

    Raises:
        ConfigError, DataError, HubError: before anything is trained, or HubError after it, with the model on the disk.
        Stopped: by a signal, with everything saved. Diverged, DiskFull: with the last checkpoint intact.
    """
    trainer = Trainer(config)
    try:
        return trainer.train()
    finally:
        finish_trackers(trainer.accelerator)
        if trainer.accelerator.device.type != "cpu":
            # On a CPU gloo's group waits for ever when it is destroyed before the network that uses it; the end of the process ends it.
            trainer.accelerator.state.destroy_process_group()


def command_line() -> None:
    """Read the options and train; what went wrong is one sentence, once for all processes."""
    try:
        config = parse()
        model = main(config)
        if is_first():
            print(f"The model is in {model}")
    except Stopped as stopped:
        say(str(stopped))
    except FailedElsewhere:
        sys.exit(1)
    except (ConfigError, DataError, HubError, Diverged, DiskFull) as error:
        say(f"train.py: {error}")
        sys.exit(1)


if __name__ == "__main__":
    command_line()
