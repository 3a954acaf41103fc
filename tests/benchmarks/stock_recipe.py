"""The recipe of diffusers' unconditional example, transcribed for comparison: what each step of it does, in its order, on this project's network.

It is written after examples/unconditional_image_generation/train_unconditional.py of August 2026 and is not that file: torchvision's transforms are
their Pillow equivalents, images are gray instead of RGB, and options, checkpoints, sampling and the Hub are left out. What a step costs is kept: a
DataLoader whose data set decodes, resizes and normalises each picture anew, `add_noise`, an AdamW and an EMA that walk over the parameters one by
one, a loss that is looked at every step, a tqdm bar.

A `change` is one thing that training/train.py does otherwise, put into this recipe alone, so that a gain can be told by cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from datasets import load_dataset
from diffusers import DDPMScheduler, UNet2DModel
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel
from PIL import Image
from tqdm.auto import tqdm

from training import machine
from training.cpu_forms import suit_cpu


def augment(picture: Image.Image, size: int) -> torch.Tensor:
    """Resize, CenterCrop, ToTensor and Normalize([0.5], [0.5])."""
    picture = picture.convert("L")
    if min(picture.size) != size:
        scale = size / min(picture.size)
        picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BILINEAR)
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    x = torch.from_numpy(np.array(picture.crop((left, top, left + size, top + size)), dtype=np.uint8, copy=True))[None]
    return x.float().div(255).sub(0.5).div(0.5)


def pictures_in_memory(dataset: torch.utils.data.Dataset, batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
    """The same batches from one uint8 tensor."""
    images = torch.stack([torch.from_numpy(np.array(row["image"].convert("L"), copy=True))[None] for row in dataset])
    while True:
        for rows in torch.randperm(len(images)).split(batch_size):
            if len(rows) == batch_size:
                yield {"input": images[rows].float() / 127.5 - 1}


def train(
    unet: UNet2DModel,
    parquet: Path,
    *,
    batch_size: int,
    precision: str,
    compiled: bool,
    change: str | None,
    ready: Callable[[torch.optim.Optimizer], None],
) -> None:
    """Run the recipe until `ready`'s clock, hung on the optimizer, has seen enough.

    Args:
        precision: "no" or "bf16"; change: one of CHANGES in training_loop.py, or None for the recipe as it is.
        ready: called with the optimizer before the first step; whatever it hangs on it ends the run by an exception.
    """
    accelerator = Accelerator(mixed_precision=precision, dynamo_backend="inductor" if compiled else "no")
    if change == "memory kept by the process":
        machine.keep_memory()
    if change == "attention and upsampling for a CPU":
        suit_cpu(unet)
    if change == "channels_last":
        unet = unet.to(memory_format=torch.channels_last)
    ema = EMAModel(unet.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75, foreach=change == "EMA in one call")
    noise_scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear")
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6, eps=1e-8, fused=change == "fused AdamW" or None)
    dataset = load_dataset("parquet", data_files=str(parquet), split="train")
    if change == "pictures decoded once":
        batches = pictures_in_memory(dataset, batch_size)
    else:
        dataset.set_transform(lambda rows: {"input": [augment(picture, unet.config.sample_size) for picture in rows["image"]]})
        loader = accelerator.prepare(torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True))
        batches = (batch for _ in range(100) for batch in loader)
    lr_scheduler = get_scheduler("cosine", optimizer=optimizer, num_warmup_steps=500, num_training_steps=100_000)
    model, optimizer, lr_scheduler = accelerator.prepare(unet, optimizer, lr_scheduler)
    ready(optimizer)
    weight_dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    bar = tqdm(total=100_000)
    model.train()
    for step, batch in enumerate(batches):
        clean_images = batch["input"].to(weight_dtype)
        noise = torch.randn(clean_images.shape, dtype=weight_dtype)
        timesteps = torch.randint(0, 1000, (len(clean_images),)).long()
        noisy_images = noise_scheduler.add_noise(clean_images, noise, timesteps)
        if change == "channels_last":
            noisy_images = noisy_images.contiguous(memory_format=torch.channels_last)
        with accelerator.accumulate(model):
            loss = F.mse_loss(model(noisy_images, timesteps).sample.float(), noise.float())
            accelerator.backward(loss)
            if accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            lr_scheduler.step()
            optimizer.zero_grad()
        if accelerator.sync_gradients:
            ema.step(unet.parameters())
            bar.update(1)
        if change != "loss read every 50 steps" or step % 50 == 0:
            logs = {"loss": loss.detach().item(), "lr": lr_scheduler.get_last_lr()[0], "step": step, "ema_decay": ema.cur_decay_value}
            bar.set_postfix(**logs)
            accelerator.log(logs, step=step)
