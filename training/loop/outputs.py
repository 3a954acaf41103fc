"""What a run leaves behind besides its checkpoints: sample grids, held-out figures and the model's folder, all of them from the averaged weights.

Samples and evaluations have generators of their own: a run that draws grids trains to the same weights as one that does not.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from diffusers import UNet2DModel
from diffusers.training_utils import EMAModel
from PIL import Image
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.images import grid
from ddpm_space.models import ready
from ddpm_space.scheduler import NotesDDPMScheduler
from training.config import TrainConfig
from training.data import ImageStream, TrainingData
from training.evaluate import EvaluationSettings, draw, evaluate_model
from training.evaluation.findings import FILE, Evaluation
from training.evaluation.heldout import HeldOut, held_out_bits, some
from training.loop.stopping import StopSignals
from training.model import count_parameters, save_pipeline
from training.publishing.card import model_card

PICTURE = "samples.png"
"""The last grid, in the model's folder."""


class _AskedToStop(Exception):
    """A signal came while a grid was being drawn, or held-out images judged."""


@dataclass
class Outputs:
    """Makes what a run leaves behind; every method must be called by all processes.

    Args:
        unet: the network that is being trained; ema: its averaged weights; signals: that may cut a grid short.
    """

    config: TrainConfig
    accelerator: Accelerator
    unet: UNet2DModel
    ema: EMAModel
    scheduler: NotesDDPMScheduler
    data: TrainingData
    settings: EvaluationSettings
    signals: StopSignals
    run: Path = field(init=False)

    def __post_init__(self) -> None:
        self.run = Path(self.config.output_dir)
        self.share: dict[str, Any] = {
            "device": str(self.accelerator.device),
            "rank": self.accelerator.process_index,
            "world": self.accelerator.num_processes,
        }
        self.picture: Image.Image | None = None

    @contextmanager
    def averaged(self, *, until_asked: bool = False) -> Iterator[Denoiser]:
        """A context without gradients, with a second network that has the averaged weights, as a denoiser.

        Args:
            until_asked: refuse to go on once a signal came; for what one process does alone, since the others would wait for it.
        """
        denoiser = self._denoiser(ready(self._averaged(), self.share["device"]), until_asked)
        with torch.no_grad():
            yield denoiser

    def _averaged(self) -> UNet2DModel:
        # Of its own, so that it is judged as it is saved: what accelerate lays over the trained one's forward computes in bf16. And without drawing
        # weights only to replace them: the run's random numbers are its own.
        with torch.device("meta"):
            unet = UNet2DModel.from_config(self.unet.config)
        unet.to_empty(device=self.accelerator.device)
        unet.load_state_dict(self.unet.state_dict())
        self.ema.copy_to(unet.parameters())
        return unet

    def grid(self, images_seen: int) -> Image.Image | None:
        """Draw samples into samples/images-NNNNNNNNN.png, with the same seed each time, so that grids can be compared.

        Returns:
            the picture on the main process; None on the others, or where a signal cut it short.
        """
        config = self.config
        if not self.accelerator.is_main_process:
            return None
        shape = (config.channels, config.resolution, config.resolution)
        try:
            with self.averaged(until_asked=True) as denoiser:
                x = draw(denoiser, shape, config.sample_images, num_steps=config.sample_steps, seed=config.seed, device=self.share["device"])
        except _AskedToStop:
            return None
        self.picture = grid(shown(x), math.ceil(math.sqrt(len(x))))
        folder = self.run / "samples"
        folder.mkdir(parents=True, exist_ok=True)
        self.picture.save(folder / f"images-{images_seen:09d}.png")
        return self.picture

    def held_out(self) -> HeldOut | None:
        """Bits/dim of the held-out images, None where there are none, or where a signal cut it short (one process; several share it)."""
        if self.data.held_out is None or not self.settings.images:
            return None
        images = some(self.data.held_out, self.settings.images, self.settings.seed)
        alone = self.accelerator.num_processes == 1
        with suppress(_AskedToStop), self.averaged(until_asked=alone) as denoiser:
            return held_out_bits(denoiser, images, seed=self.settings.seed, evaluations=self.settings.terms, **self.share)
        return None

    def evaluation(self) -> Evaluation:
        """All that the options ask for, at the end of a run."""
        train = None if isinstance(self.data.train, ImageStream) else self.data.train
        shape = (self.config.channels, self.config.resolution, self.config.resolution)
        with self.averaged() as denoiser:
            return evaluate_model(denoiser, self.settings, train, self.data.held_out, shape=shape, notes=self.data.notes, **self.share)

    def model(self, *, steps: int, images: int, seconds: float, loss: float, evaluation: Evaluation | None = None) -> Path:
        """Write the model's folder: averaged weights, the trained ones beside them, card, options, the figures if there are any, the last grid.

        Args:
            steps: done; images: seen; seconds: of training; loss: mean over the last steps, NaN where none was logged yet.
        """
        figures = None if evaluation is None else evaluation.to_dict()
        card = model_card(
            self.config,
            data_name=self.data.name,
            data_size=None if isinstance(self.data.train, ImageStream) else len(self.data.train),
            parameters=count_parameters(self.unet),
            images=images,
            seconds=seconds,
            loss=loss,
            precision=self.accelerator.mixed_precision,
            steps=steps,
            processes=self.accelerator.num_processes,
            evaluation=figures,
            picture=PICTURE if self.picture else None,
            raw_variant=True,
            notes=self.data.notes,
        )
        files: dict[str, bytes] = {}
        if figures is not None:
            files[FILE] = (json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()
        if self.picture:
            buffer = io.BytesIO()
            self.picture.save(buffer, "png")
            files[PICTURE] = buffer.getvalue()
        save_pipeline(self._averaged(), self.scheduler, self.run / "model", card, self.config, self.unet.state_dict(), files)
        return self.run / "model"

    def _denoiser(self, unet: UNet2DModel, until_asked: bool) -> Denoiser:
        channels = self.config.channels

        def network(x_t: Tensor, t: Tensor) -> Tensor:
            if until_asked and self.signals.received:
                raise _AskedToStop
            return unet(x_t, t).sample

        learned = unet.config.out_channels == 2 * channels
        return Denoiser(
            (lambda x_t, t: network(x_t, t)[:, :channels]) if learned else network,
            self.config.prediction_type,
            self.scheduler.schedule,
            network if learned else None,
        )


def shown(x: Tensor) -> Tensor:
    """Images of any number of channels as ones that a picture file can hold: the first three, or the first."""
    return x if x.shape[1] in (1, 3) else x[:, : 3 if x.shape[1] > 3 else 1]
