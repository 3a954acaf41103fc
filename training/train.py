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
from typing import Any

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from diffusers.training_utils import EMAModel
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import grid
from ddpm_space.notes.forward import q_cumulative_sample
from training import machine
from training.batches import Batches
from training.card import model_card
from training.checkpoint import Trained, find_checkpoint, load_checkpoint, save_checkpoint
from training.config import ConfigError, TrainConfig, parse
from training.data import DataError, ImageSet, load_images
from training.evaluate import draw
from training.model import build_scheduler, build_unet, count_parameters, save_pipeline
from training.objective import learning_rate_factor, loss_weight, target
from training.progress import Reporter


class Diverged(RuntimeError):
    """The loss is no number any more."""


class Trainer:
    """One run: what it is made of, and the loop."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.scheduler = build_scheduler(config)
        set_seed(config.seed)  # the same weights on every process
        unet = build_unet(config)
        self.accelerator = Accelerator(mixed_precision=machine.precision(config.mixed_precision))
        machine.use_cores(self.accelerator, config.cpu_threads)
        self.data: ImageSet = load_images(
            config.dataset, split=config.dataset_split, channels=config.channels, size=config.resolution, image_column=config.image_column
        )
        if config.channels_last:
            unet = unet.to(memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(
            unet.parameters(), lr=config.learning_rate, betas=(0.9, config.adam_beta2), weight_decay=config.weight_decay, fused=True
        )
        self.network, self.optimizer = self.accelerator.prepare(unet, optimizer)
        self.unet = self.accelerator.unwrap_model(self.network)
        if config.compile:
            self.network = torch.compile(self.network)
        self.ema = EMAModel(self.unet.parameters(), decay=config.ema_decay, foreach=True)
        self.batches = Batches(
            self.data, config.batch_size, len(self.scheduler), config.seed, self.accelerator.process_index, self.accelerator.num_processes
        )
        self.images_a_step = config.batch_size * self.accelerator.num_processes
        self.steps = math.ceil(config.train_images / self.images_a_step)
        self.run = Path(config.output_dir)
        self.first_step, self.seconds, self.loss = 0, 0.0, math.nan

    def train(self) -> Path:
        """Run from the first step (or the checkpoint's) to the last; returns the folder of the finished model."""
        if self.config.resume:
            self.resume(find_checkpoint(self.run, self.config.resume))
        reporter = Reporter(self.run, self.steps, self.first_step, self.images_a_step, self.accelerator.is_main_process)
        config, schedule, accelerator = self.config, self.scheduler.schedule, self.accelerator
        losses: list[Tensor] = []
        self.unet.train()
        with reporter:
            for step in range(self.first_step, self.steps):
                start = time.monotonic()
                x_0, t, eps = self.batches.at(step)
                coefficients = schedule.at(t)
                x_t = q_cumulative_sample(x_0, coefficients.alpha_bar_t, eps=eps)
                wanted = target(config.prediction_type, x_0, eps, coefficients.alpha_bar_t)
                weight = loss_weight(config.prediction_type, coefficients.snr_t, config.min_snr_gamma).float()

                output = self.network(self.placed(x_t), t.to(accelerator.device)).sample
                squared_error = (output.float() - wanted.to(output.device)).square().mean(dim=(1, 2, 3))
                loss = (weight.to(output.device) * squared_error).mean()
                accelerator.backward(loss)
                norm = accelerator.clip_grad_norm_(self.network.parameters(), config.max_grad_norm)
                rate = config.learning_rate * learning_rate_factor(step / self.steps, step, config.lr_warmup_steps, config.lr_schedule)
                for group in self.optimizer.param_groups:
                    group["lr"] = rate
                self.optimizer.step()
                self.optimizer.zero_grad()
                self.ema.step(self.unet.parameters())
                losses.append(loss.detach())

                self.seconds += time.monotonic() - start
                done = step + 1
                if done % config.log_every == 0 or done == self.steps:
                    self.loss = self.average(losses)
                    numbers = {"loss": self.loss, "learning_rate": rate, "gradient_norm": float(norm), "seconds": self.seconds}
                    reporter.log(done, numbers)
                    losses.clear()
                if self.is_due(done, config.sample_every):
                    self.save_grid(done)
                if self.is_due(done, config.checkpoint_every):
                    self.checkpoint(done)
        self.save_grid(self.steps)
        self.save_model(self.steps)
        return self.run / "model"

    def placed(self, x: Tensor) -> Tensor:
        """Move a batch to where the network is, in its memory format."""
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        return x.to(self.accelerator.device, non_blocking=True).contiguous(memory_format=layout)

    def average(self, losses: list[Tensor]) -> float:
        """Mean loss since the last line, over all processes; looked at only here, since looking makes an accelerator wait."""
        mean = float(self.accelerator.reduce(torch.stack(losses).mean(), reduction="mean"))
        if not math.isfinite(mean):
            raise Diverged(
                f"the loss is {mean}: training has diverged. Lower learning_rate (it is {self.config.learning_rate:g}) or --mixed_precision no, "
                "and start again from the last checkpoint with --resume latest"
            )
        return mean

    def is_due(self, done: int, every: int) -> bool:
        """Whether a multiple of `every` images was passed in the last step; the end of the run has its own saving."""
        return bool(every) and done < self.steps and done * self.images_a_step // every > (done - 1) * self.images_a_step // every

    def checkpoint(self, done: int) -> None:
        """Keep what is needed to go on, and the model as it is by now."""
        if self.accelerator.is_main_process:
            progress = {"step": done, "images": done * self.images_a_step, "images_a_step": self.images_a_step, "seconds": self.seconds}
            save_checkpoint(self.run, self.trained(), progress, self.config.keep_checkpoints)
        self.save_model(done)

    def resume(self, folder: Path) -> None:
        """Go on where a checkpoint ends."""
        progress = load_checkpoint(folder, self.trained())
        if progress["images_a_step"] != self.images_a_step:
            raise ConfigError(
                f"the checkpoint was made with {progress['images_a_step']} images a step, this run has {self.images_a_step}: "
                "use the same batch_size and number of processes"
            )
        self.first_step, self.seconds = progress["step"], progress["seconds"]
        if self.first_step >= self.steps:
            raise ConfigError(
                f"the checkpoint has seen {progress['images']:,} images, train_images is {self.config.train_images:,}: raise it to go on"
            )

    def trained(self) -> Trained:
        """The parts that a checkpoint holds."""
        return Trained(self.unet, self.ema, self.optimizer, self.accelerator.scaler)

    @torch.no_grad()
    def save_grid(self, done: int) -> None:
        """Draw samples with the averaged weights; the same seed each time, so that grids can be compared."""
        if not self.accelerator.is_main_process:
            return
        with self.averaged_weights():
            denoiser = Denoiser(lambda x_t, t: self.unet(x_t, t).sample.float(), self.config.prediction_type, self.scheduler.schedule)
            shape = (self.config.channels, self.config.resolution, self.config.resolution)
            device = str(self.accelerator.device)
            x = draw(denoiser, shape, self.config.sample_images, num_steps=self.config.sample_steps, seed=self.config.seed, device=device)
        folder = self.run / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        grid(x, math.ceil(math.sqrt(len(x)))).save(folder / f"images-{done * self.images_a_step:09d}.png")

    def save_model(self, done: int) -> None:
        """Write the averaged weights as a plain pipeline with its card."""
        if not self.accelerator.is_main_process:
            return
        card = model_card(
            self.config,
            data_name=self.data.name,
            data_size=len(self.data),
            parameters=count_parameters(self.unet),
            images=done * self.images_a_step,
            seconds=self.seconds,
            loss=self.loss,
            precision=self.accelerator.mixed_precision,
        )
        with self.averaged_weights():
            save_pipeline(self.unet, self.scheduler, self.run / "model", card, self.config)

    def averaged_weights(self) -> AveragedWeights:
        """A context in which the network has its averaged weights."""
        return AveragedWeights(self.unet, self.ema)


class AveragedWeights:
    """Put the averaged weights into the network, and the trained ones back at the end."""

    def __init__(self, unet: torch.nn.Module, ema: EMAModel) -> None:
        self.unet, self.ema = unet, ema

    def __enter__(self) -> None:
        self.ema.store(self.unet.parameters())
        self.ema.copy_to(self.unet.parameters())
        self.unet.eval()

    def __exit__(self, *_: Any) -> None:
        self.ema.restore(self.unet.parameters())
        self.unet.train()


def main(config: TrainConfig) -> Path:
    """Train; returns the folder of the finished model.

    Raises:
        ConfigError, DataError: before anything is trained; Diverged: when the loss is no number.
    """
    return Trainer(config).train()


if __name__ == "__main__":
    try:
        print(f"The model is in {main(parse())}")
    except (ConfigError, DataError, Diverged) as error:
        sys.exit(f"train.py: {error}")
