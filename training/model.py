"""The network and the folder it ends up in: a plain `DDPMPipeline` that anyone with diffusers can load."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import DDPMPipeline, UNet2DModel
from torch import Tensor

from ddpm_space.models import locate, read_unet
from ddpm_space.pipeline_folder import ModelError, read_folder
from ddpm_space.scheduler import NotesDDPMScheduler
from training.config import ConfigError, TrainConfig
from training.loop.folders import replaced_folder

RAW = "raw"
"""Variant of the trained weights as they are, beside the averaged ones: `DDPMPipeline.from_pretrained(..., variant="raw")`."""


def build_unet(config: TrainConfig) -> UNet2DModel:
    """Make the network of a config, or load the one to start from.

    Raises:
        ConfigError: a size, width or number of groups that cannot work, with the nearest that can.
    """
    if config.init_from:
        return _load_unet(config)
    check_shape(config)
    levels = range(len(config.block_out_channels))
    return UNet2DModel(
        sample_size=config.resolution,
        in_channels=config.channels,
        out_channels=output_channels(config),
        layers_per_block=config.layers_per_block,
        block_out_channels=config.block_out_channels,
        down_block_types=tuple("AttnDownBlock2D" if level in config.attention_levels else "DownBlock2D" for level in levels),
        up_block_types=tuple("AttnUpBlock2D" if level in config.attention_levels else "UpBlock2D" for level in reversed(levels)),
        attention_head_dim=config.attention_head_dim,
        norm_num_groups=config.norm_num_groups,
        dropout=config.dropout,
    )


def output_channels(config: TrainConfig) -> int:
    """Channels that the network returns: with a learned variance one more for each of the image."""
    return config.channels * (2 if config.variance == "learned_range" else 1)


def check_shape(config: TrainConfig) -> None:
    """Refuse what UNet2DModel only notices in the middle of a forward pass, or never."""
    widths, levels = config.block_out_channels, len(config.block_out_channels)
    if not widths or min(widths) < 1:
        raise ConfigError(f"block_out_channels = {widths}: give at least one width above 0")
    _check_size(config.resolution, levels)
    for width in widths:
        if width % config.norm_num_groups:
            raise ConfigError(f"norm_num_groups = {config.norm_num_groups} does not divide the width {width}: use a common divisor of {widths}")
    for level in config.attention_levels:
        if not 0 <= level < levels:
            raise ConfigError(f"attention_levels has {level}, but the levels are 0 to {levels - 1}")
    for level in {*config.attention_levels, levels - 1}:
        if widths[level] % config.attention_head_dim:
            raise ConfigError(f"attention_head_dim = {config.attention_head_dim} does not divide the width {widths[level]} of level {level}")


def _check_size(resolution: int, levels: int) -> None:
    factor = 2 ** (levels - 1)
    if resolution % factor:
        down, up = resolution // factor * factor, (resolution // factor + 1) * factor
        nearest = f"{down} or {up}" if down else f"{up}"
        raise ConfigError(
            f"resolution = {resolution} cannot be halved {levels - 1} times, as a network of {levels} levels does: use {nearest}, or fewer levels"
        )


def _load_unet(config: TrainConfig) -> UNet2DModel:
    source = "bundled:mnist" if config.init_from == "bundled" else str(config.init_from)
    try:
        folder, _ = locate(source)
        unet = read_unet(read_folder(folder, source), source).requires_grad_(True)
    except ModelError as error:
        raise ConfigError(f"init_from: {error}") from error
    inputs, outputs = unet.config.in_channels, unet.config.out_channels
    if inputs != config.channels:
        raise ConfigError(
            f"init_from: the network of '{source}' has {inputs} channels, but channels = {config.channels}: set channels, or start from another model"
        )
    if outputs != output_channels(config):
        fix = "learned_range" if outputs == 2 * inputs else "fixed"
        raise ConfigError(
            f"init_from: the network of '{source}' returns {outputs} channels for {inputs} of the image, which is not variance = {config.variance}: "
            f"set variance = {fix}, or start from another model"
        )
    _check_size(config.resolution, len(unet.config.block_out_channels))
    unet.register_to_config(sample_size=config.resolution)
    return unet


def build_scheduler(config: TrainConfig) -> NotesDDPMScheduler:
    """Make the scheduler of a config, and refuse one that no model should be trained on.

    Raises:
        ConfigError: x_T is not noise, eps-prediction at zero terminal SNR, a beta of 1 or more, an image that is lost long before x_T; with the
            number and the fix.
    """
    with warnings.catch_warnings():
        # What the scheduler warns of is an error here.
        warnings.simplefilter("ignore")
        try:
            scheduler = NotesDDPMScheduler(
                num_train_timesteps=config.num_train_timesteps,
                beta_schedule=config.beta_schedule,
                beta_start=config.beta_start,
                beta_end=config.beta_end,
                prediction_type=config.prediction_type,
                rescale_betas_zero_snr=config.rescale_betas_zero_snr,
                variance_type="learned_range" if config.variance == "learned_range" else "fixed_small",
            )
        except ValueError as error:
            raise ConfigError(f"the noise schedule cannot be built: {error}") from error
    if scheduler.problems:
        raise ConfigError(f"training is refused: {scheduler.problems[0]}")
    return scheduler


def save_pipeline(
    unet: UNet2DModel,
    scheduler: NotesDDPMScheduler,
    folder: Path,
    card: str,
    config: TrainConfig,
    raw: Mapping[str, Tensor] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Write a model as a plain `DDPMPipeline` with diffusers' own scheduler, so that nobody needs this project to load it.

    Args:
        unet: with the averaged weights; scheduler: the one of the training; folder: where, replaced in one step.
        card: text of README.md; config: kept beside it as training_config.yaml.
        raw: the state dict of the trained weights as they are, kept as the variant "raw"; None for none.
        files: what else lies in the folder and goes to the Hub, by name: "evaluation.json", "samples.png".
    """
    # Without the address that it was loaded from, which is a folder of this machine, and without drawing weights only to replace them.
    with torch.device("meta"):
        plain = UNet2DModel.from_config({name: value for name, value in unet.config.items() if name != "_name_or_path"})
    with replaced_folder(folder) as draft:
        plain.load_state_dict(_plain(unet.state_dict()), assign=True)
        DDPMPipeline(unet=plain.eval(), scheduler=scheduler.to_stock()).save_pretrained(draft, safe_serialization=True)
        if raw is not None:
            plain.load_state_dict(_plain(raw), assign=True)
            plain.save_pretrained(draft / "unet", safe_serialization=True, variant=RAW)
        (draft / "README.md").write_text(card, encoding="utf-8")
        (draft / "training_config.yaml").write_text(config.to_yaml(), encoding="utf-8")
        for name, content in (files or {}).items():
            (draft / name).write_bytes(content)
        index = json.loads((draft / "model_index.json").read_text())
        libraries = {entry[0] for entry in index.values() if isinstance(entry, list)}
        if libraries != {"diffusers"}:
            raise RuntimeError(f"model_index.json names {libraries}: only diffusers can be loaded by everyone")


def _plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in float32 and the usual memory layout, whatever the training used."""
    return {name: value.detach().cpu().float().contiguous() for name, value in state.items()}


def count_parameters(unet: torch.nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in unet.parameters())
