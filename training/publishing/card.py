"""The model card: how a model was made, in the words of its own config, and what was measured of it."""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCardData

from training.config import TrainConfig
from training.machine import describe
from training.publishing.card_figures import TASK, figures_table, results, slug
from training.publishing.credits import credit_of

OPTIMIZERS = {"adamw": "AdamW", "muon": "Muon (the first and the last layer, biases and norms: AdamW)"}


def command() -> str:
    """How this process was started, as someone else would type it: no absolute paths."""
    words = []
    for word in sys.argv[1:]:
        name, equals, value = word.partition("=")
        words.append(f"{name}={_local(value)}" if equals else _local(word))
    processes = os.environ.get("WORLD_SIZE", "1")
    several = ["--multi_gpu", "--num_processes", processes] if processes != "1" else []
    return shlex.join(["accelerate", "launch", *several, "training/train.py", *words])


def versions() -> str:
    """The libraries that decide what the numbers are."""
    python = ".".join(map(str, sys.version_info[:3]))
    return ", ".join([f"Python {python}", *(f"{name} {version(name)}" for name in ("torch", "diffusers", "accelerate"))])


def model_card(
    config: TrainConfig,
    *,
    data_name: str,
    data_size: int | None,
    parameters: int,
    images: int,
    seconds: float,
    loss: float,
    precision: str,
    steps: int | None = None,
    processes: int = 1,
    evaluation: Mapping[str, Any] | None = None,
    picture: str | None = None,
    raw_variant: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """Text of README.md for a model folder.

    Args:
        data_size: images in the training set, None for a stream; images: seen so far, repeats counted; steps: of the optimizer, by default as many as
            `images` need; seconds: of training, without sampling and saving; precision: as used.
        loss: mean over the last steps, NaN if none was logged.
        evaluation: what `findings.Evaluation.to_dict` gives and `evaluation.json` holds, None if nothing was measured.
        picture: the sample grid's file in the folder, None without one.
        raw_variant: the weights that are not averaged lie beside the others as the variant "raw"; notes: what the data loader has to say.
    Returns:
        Markdown with the Hub's metadata in front. `Publisher` puts the id of the repository where it says "PATH".
    """
    figures = figures_table(evaluation)
    images_a_step = config.batch_size * config.gradient_accumulation_steps * processes
    facts = {
        "data": f"{data_name}, {'a stream' if data_size is None else f'{data_size:,} images'}{_preparation(config)}",
        **_design(config),
        "parameters": f"{parameters:,}",
        "steps": f"{steps or -(-images // images_a_step):,} of {images_a_step} images ({config.batch_size} in a forward pass"
        + (f" x {config.gradient_accumulation_steps} accumulated" if config.gradient_accumulation_steps > 1 else "")
        + f" x {processes} process{'es' if processes > 1 else ''})",
        "images seen": f"{images:,} of {config.train_images:,} planned" + (f" ({images / data_size:.1f} epochs)" if data_size else ""),
        **({"loss at the end": f"{loss:.4f}"} if math.isfinite(loss) else {}),
        "time": f"{seconds / 60:.1f} minutes on {describe()}, precision {precision}",
        "versions": versions(),
    }
    sections = [
        f"# DDPM on {data_name}",
        f"A denoising diffusion model ([Ho et al. 2020](https://arxiv.org/abs/2006.11239)) that draws {_kind(config)} images as in {data_name}: "
        f"a plain diffusers `DDPMPipeline` with {parameters:,} parameters, trained by the `ddpm_space` trainer. Its weights are the exponential "
        f"moving average (decay {config.ema_decay:g}) of the trained ones.",
        _usage(config, raw_variant),
        _picture(config, picture),
        figures,
        f"## How it was made\n\n{_table(facts)}" + "".join(f"\n\n- {note}" for note in notes if f"- {note}" not in figures),
        f"    {command()}\n\nEvery option is in `training_config.yaml`, which `--config` reads back.",
        _uses_and_limits(config, measured=bool(figures)),
        _licence(config, data_name),
    ]
    return _with_metadata(config, data_name, evaluation, sections)


def planned_card(config: TrainConfig, started: str) -> str:
    """Text of README.md for a repository whose run is about to begin: what will be trained, and that nothing is there yet.

    Args:
        started: date and time, as the reader shall see it.
    """
    name = "mnist_small (bundled)" if config.dataset == "bundled" else _local(config.dataset)
    sections = [
        f"# DDPM on {name}",
        f"**This model is being trained: the run began {started}, and its weights are not here yet.** They will be a plain diffusers "
        f"`DDPMPipeline` that draws {_kind(config)} images, and this card will then say how to load it and how good it is.",
        f"## The plan\n\n{_table({'data': name + _preparation(config), **_design(config), 'images to see': f'{config.train_images:,}'})}",
        f"    {command()}",
        _licence(config, name),
    ]
    return _with_metadata(config, name, None, sections)


def for_hub(card: str, repo_id: str, revision: str | None = None) -> str:
    """The card as the repository shows it: its own id where the folder's card says "PATH"."""
    with_revision = f'"{repo_id}", revision="{revision}"' if revision else f'"{repo_id}"'
    named = f'--model "{repo_id}@{revision}"' if revision else f'--model "{repo_id}"'
    return card.replace('--model "PATH"', named).replace('from_pretrained("PATH"', f"from_pretrained({with_revision}")


def shareable(options: str) -> str:
    """The text of training_config.yaml without the folders of this machine and without what concerns the Hub."""
    plain = yaml.safe_load(options)
    kept = {name: _local(value) if isinstance(value, str) else value for name, value in plain.items() if "hub" not in name.split("_")}
    return yaml.safe_dump(kept, sort_keys=False)


def _with_metadata(config: TrainConfig, data_name: str, evaluation: Mapping[str, Any] | None, sections: Sequence[str]) -> str:
    credit, on_hub = credit_of(data_name), _hub_id(config.dataset)
    figures = results(evaluation, data_name, on_hub or slug(data_name))
    data = ModelCardData(
        license=(credit.licence if credit else None) or "unknown",
        library_name="diffusers",
        pipeline_tag=TASK,
        datasets=[on_hub] if on_hub else None,
        base_model=_hub_id(config.init_from or ""),
        tags=["diffusers", "ddpm", "diffusion", TASK, "ddpm_space"],
        model_name=f"DDPM on {data_name}" if figures else None,
        eval_results=figures or None,
    )
    return "\n\n".join([f"---\n{data.to_yaml()}\n---", *(section for section in sections if section)]) + "\n"


def _hub_id(source: str) -> str | None:
    """A data set's or a model's id on the Hub, None for what lies on this machine."""
    name = source.split("@")[0]
    return name if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and not Path(source).exists() else None


def _local(word: str) -> str:
    """A path without the folders above it, which are nobody's business; anything else as it is."""
    return Path(word).name if os.path.isabs(word) else word


def _kind(config: TrainConfig) -> str:
    colour = {1: "gray", 3: "RGB", 4: "RGBA"}.get(config.channels, f"{config.channels}-channel")
    return f"{config.resolution} x {config.resolution} {colour}"


def _preparation(config: TrainConfig) -> str:
    crop = {"center": "", "random": "cut at random", "stretch": "stretched to squares"}[config.crop]
    parts = [crop, "mirrored at random" if config.flip else "", "read as a stream" if config.streaming else ""]
    return "".join(f", {part}" for part in parts if part)


def _design(config: TrainConfig) -> dict[str, str]:
    """The choices that the config alone decides, as rows of a table."""
    from training.model import build_scheduler  # brings diffusers, which takes seconds: who only pushes a finished folder need not wait

    alpha_bar = build_scheduler(config).schedule.alpha_bar[-1].item()
    betas = "" if config.beta_schedule == "squaredcos_cap_v2" else f", beta {config.beta_start:g} to {config.beta_end:g}"
    rescaled = ", rescaled to zero terminal SNR" if config.rescale_betas_zero_snr else ""
    learned = config.variance == "learned_range"
    weights = f", min-SNR weights (gamma {config.min_snr_gamma:g})" if config.min_snr_gamma else ""
    hybrid = f" + {config.vlb_weight:g} of the variational bound (L_hybrid)" if learned else ""
    warm_up = f", {config.lr_warmup_steps} steps of warm-up" if config.lr_schedule != "constant" else ""
    return {
        "network": _network(config),
        "predicts": f"`{config.prediction_type}`",
        "noise schedule": f"`{config.beta_schedule}`{betas}, T = {config.num_train_timesteps}{rescaled}, abar_T = {alpha_bar:.2g}",
        "reverse variance": "learned, between beta_tilde and beta (`learned_range`)" if learned else "fixed, beta_tilde (`fixed_small`)",
        "loss": f"mean squared error{hybrid}{weights}",
        "timesteps": f"drawn {config.timestep_sampling.replace('_', '-')}",
        "optimizer": f"{OPTIMIZERS[config.optimizer]}, learning rate {config.learning_rate:g}, {config.lr_schedule} schedule{warm_up}, AdamW's betas "
        f"{config.adam_beta1:g} and {config.adam_beta2:g}, weight decay {config.weight_decay:g}, gradient norm at most {config.max_grad_norm:g}",
        "regularisation": f"dropout {config.dropout:g}, EMA {config.ema_decay:g} with warm-up",
        "seed": f"{config.seed}",
    }


def _network(config: TrainConfig) -> str:
    if config.init_from:
        return f"`UNet2DModel`, started from `{_local(config.init_from)}`"
    blocks, levels = config.layers_per_block, [str(level) for level in config.attention_levels]
    attention = "self-attention in the middle" + (f" and at level{'s' if len(levels) > 1 else ''} {', '.join(levels)}" if levels else "")
    widths = ", ".join(map(str, config.block_out_channels))
    return f"`UNet2DModel`, widths {widths}, {blocks} residual block{'s' if blocks > 1 else ''} a level, {attention}"


def _usage(config: TrainConfig, raw_variant: bool) -> str:
    raw = (
        '\n\nThe trained weights themselves, not averaged, are the variant "raw", for comparison or to train further: '
        '`DDPMPipeline.from_pretrained("PATH", variant="raw")`.'
    )
    return f"""## Use it

```python
from diffusers import DDPMPipeline

pipeline = DDPMPipeline.from_pretrained("PATH")
images = pipeline(batch_size=16, num_inference_steps={config.num_train_timesteps}).images
```

It needs diffusers and nothing of the trainer; `app.py --model "PATH"` of `ddpm_space` shows it at work, step by step.{raw if raw_variant else ""}"""


def _picture(config: TrainConfig, picture: str | None) -> str:
    if not picture:
        return ""
    caption = f"{config.sample_images} samples, not chosen: seed {config.seed}, {config.sample_steps} steps of ancestral sampling, averaged weights."
    return f"## What it draws\n\n![{config.sample_images} samples of the model]({picture})\n\n{caption}"


def _uses_and_limits(config: TrainConfig, *, measured: bool) -> str:
    unknown = "" if measured else "\n- Nothing was measured of this model beyond its training loss: look at its samples before relying on it."
    return f"""## Intended use and limits

For the study of diffusion models (samplers, schedules, likelihoods), for teaching, and as a start for further training (`--init_from`).

- It draws {_kind(config)} images and no others, and nothing tells it what to draw: there is no prompt and no class.
- It knows its training set alone. What that set lacks or holds too much of, the samples lack or hold too much of.
- Samples can come close to training images, the more so the smaller the set and the longer the run: compare them first.{unknown}"""


def _licence(config: TrainConfig, data_name: str) -> str:
    credit = credit_of(data_name)
    if credit:
        return f"## Data and licence\n\n{credit.notice}\n\n> {credit.paper}"
    on_hub = _hub_id(config.dataset)
    found = f"[{on_hub}](https://huggingface.co/datasets/{on_hub})" if on_hub else data_name
    return (
        f"## Data and licence\n\nTrained on {found}. No licence of these weights is stated: the terms of that data set come first, and the author of "
        "the model names one in the metadata above where they allow it."
    )


def _table(rows: Mapping[str, str]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {text.replace('|', chr(92) + '|')} |" for name, text in rows.items())])
