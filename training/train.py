"""Train a DDPM: diffusers' UNet2DModel, the notes' noise and loss, accelerate for the machine.

    accelerate launch training/train.py --config quick                    # two minutes on 2 CPU cores, bundled data
    accelerate launch training/train.py --config mnist                    # the bundled model
    accelerate launch -m training.train --dataset my_pictures/ --resolution 32 --channels 3 --output_dir runs/mine

The finished model is OUTPUT_DIR/model, a plain DDPMPipeline. `--help` lists every option; a run that was stopped goes on with `--resume latest`.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from training.config import ConfigError, TrainConfig, parse
from training.cpu_forms import suit_cpu

if __name__ == "__main__":  # before anything heavy is imported: --help and a mistake are answered at once
    try:
        OPTIONS = parse()
    except ConfigError as error:
        sys.exit(f"train.py: {error}" if os.environ.get("RANK", "0") == "0" else 1)

import torch
from accelerate.utils import set_seed
from diffusers.training_utils import EMAModel
from torch import Tensor

from ddpm_space.notes.forward import q_cumulative_sample
from training.batches import DROPOUT, Batch, Batches, derived_seed
from training.data import DataError, open_data
from training.evaluate import EvaluationSettings
from training.loop.bookkeeping import Bookkeeper, prepare_folder
from training.loop.checkpoint import Trained
from training.loop.folders import DiskFull, given_back, is_full
from training.loop.meter import Meter
from training.loop.outputs import Outputs
from training.loop.processes import FailedElsewhere, end_process, in_turn, is_first, on_main, part, same_everywhere, say, start_processes
from training.loop.resume import check_options, choose_checkpoint
from training.loop.stopping import Stopped, StopSignals
from training.loop.trackers import check_trackers, finish_trackers
from training.loop.watch import Diverged, Watch
from training.model import build_scheduler, build_unet
from training.objective import Objective
from training.optimizer import make_optimizer
from training.publishing.commit import HubError
from training.timesteps import make_sampler


class Trainer:
    """One run: what it is made of, and the loop."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        check_trackers(config.trackers)
        settings = EvaluationSettings.of(config)
        self.scheduler = build_scheduler(config)
        self.accelerator = accelerator = start_processes(config)
        set_seed(config.seed)  # the same weights on every process
        unet = build_unet(config)
        if accelerator.device.type == "cpu":
            suit_cpu(unet)
        on_main(accelerator, lambda: prepare_folder(Path(config.output_dir)))
        self.checkpoint = choose_checkpoint(Path(config.output_dir), config.resume, say)
        if not same_everywhere(accelerator, self.checkpoint and self.checkpoint.progress["images"]):
            raise ConfigError(
                f"output_dir: the processes see different checkpoints in '{config.output_dir}': put it on a disk that all machines share"
            )
        if self.checkpoint:
            check_options(self.checkpoint.progress["options"], config, say)

        rank, world = accelerator.process_index, accelerator.num_processes
        data = in_turn(accelerator, lambda: open_data(config, rank=rank, world=world))
        self.sampler = make_sampler(config, len(self.scheduler))
        self.batches = Batches(data.train, self.sampler, config.batch_size, config.seed, config.gradient_accumulation_steps, rank, world)

        if config.channels_last:
            unet = unet.to(memory_format=torch.channels_last)
        self.network, self.optimizer = accelerator.prepare(unet, make_optimizer(config, unet))
        self.unet = accelerator.unwrap_model(self.network, keep_torch_compile=False)  # accelerate's own settings may compile it too
        if config.compile:
            self.network = torch.compile(self.network)
        self.ema = EMAModel(self.unet.parameters(), decay=config.ema_decay, foreach=True)
        self.objective = Objective(config, self.scheduler.schedule)
        self.meter = Meter(len(self.scheduler), accelerator.device)
        self.signals = StopSignals()
        self.watch = Watch(accelerator, self.signals, Path(config.output_dir), config.learning_rate)
        trained = Trained(self.unet, self.ema, self.optimizer, self.sampler, accelerator.scaler)
        self.outputs = Outputs(config, accelerator, self.unet, self.ema, self.scheduler, data, settings, self.signals)
        self.books = Bookkeeper(config, accelerator, trained, self.batches, data, self.outputs, self.meter, self.watch, self.signals)

    def train(self) -> Path:
        """Run from the first step (or the checkpoint's) to the last; returns the folder of the finished model.

        Raises:
            Stopped: by a signal, with everything saved; Diverged, DiskFull: the last checkpoint is intact.
        """
        config, schedule, accelerator, books = self.config, self.scheduler.schedule, self.accelerator, self.books
        books.begin(self.checkpoint)
        self.checkpoint = None
        self.unet.train()
        with self.signals, books.reporter:
            books.catch_up()
            for step in range(books.first_step, books.steps):
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
                    losses.append(found.weighted.detach())
                norm = accelerator.clip_grad_norm_(self.network.parameters(), config.max_grad_norm)
                for group in self.optimizer.param_groups:
                    group["lr"] = books.learning_rate(step)
                self.optimizer.step()
                self.optimizer.zero_grad()
                self.ema.step(self.unet.parameters())
                self.meter.add_norm(norm)
                self.watch.note(step, batches, losses, norm)
                if self.sampler.needs_losses:
                    self.update_sampler(batches, losses)
                books.after(step + 1, time.monotonic() - start)
            return books.finish()

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


def main(config: TrainConfig) -> Path:
    """Train; returns the folder of the finished model.

    Raises:
        ConfigError, DataError, HubError: before anything is trained, or HubError after it, with the model on the disk.
        Stopped: by a signal, with everything saved. Diverged, DiskFull: with the last checkpoint intact.
    """
    trainer = Trainer(config)
    try:
        folder = trainer.train()
    finally:
        finish_trackers(trainer.accelerator)
        given_back(Path(config.output_dir))
    part(trainer.accelerator)
    return folder


def command_line(config: TrainConfig) -> None:
    """Train, or say what a run would be; what went wrong is one sentence, once for all processes."""
    try:
        if config.dry_run:
            from training.dry_run import report

            text = report(config)
        else:
            text = f"The model is in {main(config)}"
        if is_first():
            print(text)
    except Stopped as stopped:
        say(str(stopped))
    except FailedElsewhere:
        sys.exit(1)
    except DataError as error:
        say(f"train.py: {error}", alone=True)  # another process may have had no trouble with its share
        sys.exit(1)
    except (ConfigError, HubError, Diverged, DiskFull) as error:
        say(f"train.py: {error}")
        sys.exit(1)
    except Exception as error:
        if not is_full(error):
            raise
        say(f"train.py: the disk is full ({error}): the last checkpoint is intact. Make room, then go on with --resume latest")
        sys.exit(1)


if __name__ == "__main__":
    command_line(OPTIONS)
    end_process()
