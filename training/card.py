"""The model card: how a model was made, in the words of its own config."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from training.config import TrainConfig
from training.machine import describe

CREDITS = {
    "mnist": (
        "The images are MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, derived from NIST's Special Databases 1 and 3, licensed "
        "[CC BY-SA 3.0](https://creativecommons.org/licenses/by-sa/3.0/)."
    )
}
"""Licence notices by a word in the data set's name; Fashion-MNIST is another set, under another licence."""


def command() -> str:
    """How this process was started, as someone else would type it: no absolute paths."""
    words = []
    for word in sys.argv[1:]:
        name, equals, value = word.partition("=")
        words.append(f"{name}={Path(value).name}" if equals and os.path.isabs(value) else Path(word).name if os.path.isabs(word) else word)
    return " ".join(["accelerate launch training/train.py", *words])


def versions() -> str:
    """The libraries that decide what the numbers are."""
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join([f"Python {python}", *(f"{name} {version(name)}" for name in ("torch", "diffusers", "accelerate"))])


def model_card(
    config: TrainConfig, *, data_name: str, data_size: int, parameters: int, images: int, seconds: float, loss: float, precision: str
) -> str:
    """Text of README.md for a model folder.

    Args:
        images: seen so far, repeats counted; seconds: of training, without sampling and saving; loss: mean over the last steps; precision: as used.
    """
    front: dict[str, Any] = {
        "library_name": "diffusers",
        "pipeline_tag": "unconditional-image-generation",
        "tags": ["diffusers", "ddpm", "unconditional-image-generation"],
    }
    if "/" in config.dataset and not Path(config.dataset).exists():
        front["datasets"] = [config.dataset]
    credit = next((text for word, text in CREDITS.items() if word in data_name.lower() and "fashion" not in data_name.lower()), "")
    size = f"{config.resolution} x {config.resolution} {'gray' if config.channels == 1 else 'RGB'}"
    origin = f", started from `{config.init_from}`" if config.init_from else ""
    rescaled = ", rescaled to zero terminal SNR" if config.rescale_betas_zero_snr else ""
    seen = f"{images:,} of {config.train_images:,} planned ({images / data_size:.1f} epochs), batches of {config.batch_size}"
    rate = f"learning rate {config.learning_rate:g}, {config.lr_schedule} decay, {config.lr_warmup_steps} steps of warm-up"
    weight = f", min-SNR weights (gamma {config.min_snr_gamma:g})" if config.min_snr_gamma else ""
    return (
        f"""---
{yaml.safe_dump(front, sort_keys=False).strip()}
---

# DDPM on {data_name}

A denoising diffusion model (Ho et al. 2020) of {size} images with {parameters:,} parameters, trained by the `ddpm_space` trainer.
The weights are the exponential moving average ({config.ema_decay:g}) of the trained ones: the averaged weights are the only ones here.

```python
from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("PATH")  # this folder
images = pipeline(batch_size=16, num_inference_steps={config.num_train_timesteps}).images
```

## How it was made

| | |
|---|---|
| data | {data_name}, {data_size:,} images |
| network | `UNet2DModel`, widths {", ".join(map(str, config.block_out_channels))}{origin} |
| predicts | `{config.prediction_type}` |
| noise schedule | `{config.beta_schedule}`, T = {config.num_train_timesteps}{rescaled} |
| loss | squared error, stratified t{weight} |
| images seen | {seen} |
| optimizer | AdamW, {rate}, beta2 {config.adam_beta2:g} |
| loss at the end | {loss:.4f} |
| time | {seconds / 60:.1f} minutes on {describe()}, precision {precision} |
| versions | {versions()} |

    {command()}

Every option is in `training_config.yaml`, which `--config` reads back.

{credit}
""".rstrip()
        + "\n"
    )
