"""Every option of a training run, once: the dataclass is the defaults, the command line, the YAML file and the help text.

Order of precedence: the command line, then the file of --config, then the defaults here.
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from ddpm_space.denoiser import PREDICTION_TYPES
from ddpm_space.scheduler_parts.stock_schedules import BETA_SCHEDULES

CROPS = ("center", "random", "stretch")
VARIANCES = ("fixed", "learned_range")
TIMESTEP_SAMPLINGS = ("stratified", "uniform", "loss_aware")
LR_SCHEDULES = ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup")
FEATURES = ("auto", "mnist", "fashion_mnist", "inception")
TRACKERS = ("tensorboard", "trackio", "wandb")
PRESETS = Path(__file__).resolve().parent / "configs"


class ConfigError(ValueError):
    """An option that no run can start with: the message names the value and the fix."""


def option(default: Any, text: str, choices: Sequence[str] | None = None) -> Any:
    """A field with its explanation, which is also its --help."""
    return field(default=default, metadata={"text": text, "choices": choices})


@dataclass(frozen=True)
class TrainConfig:
    """Options of one run."""

    # What is learned, and where the result goes
    dataset: str = option("bundled", "'bundled', a parquet file, a folder of pictures or of parquet files, or a data set's id on the Hub")
    dataset_split: str = option("train", "which split of it")
    dataset_config: str | None = option(None, "which configuration of a data set on the Hub, where it has several")
    dataset_revision: str | None = option(None, "branch, tag or commit of a data set on the Hub")
    image_column: str | None = option(None, "the column with the images; by default the only one there is")
    streaming: bool = option(False, "read the data set while training instead of before it; for sets that do not fit on the disk")
    shuffle_buffer: int = option(10_000, "pictures that a stream is shuffled among")
    skip_broken: bool = option(False, "leave out pictures that cannot be read, and count them, instead of stopping")
    memory_limit_gb: float = option(4.0, "decoded pictures are kept in memory up to this many GB; larger sets are decoded anew at each use")
    output_dir: str = option("runs/mnist", "folder for the checkpoints, the sample grids and the finished model")
    seed: int = option(0, "fixes weights, order of the images, timesteps and noise")

    # The network: diffusers' UNet2DModel
    resolution: int = option(28, "height and width in pixels")
    crop: str = option("center", "how other pictures become square: shorter side to the resolution and cut, or both sides stretched", CROPS)
    flip: bool = option(False, "mirror every other picture, at random; wrong for digits and letters")
    channels: int = option(1, "1 for gray, 3 for RGB, 4 for RGB with transparency; other numbers need a column of arrays")
    block_out_channels: tuple[int, ...] = option((32, 64, 64), "width of each level; every level after the first halves the image")
    layers_per_block: int = option(1, "residual blocks in a level")
    attention_levels: tuple[int, ...] = option((2,), "levels with self-attention, 0 is full resolution (the middle always has it)")
    attention_head_dim: int = option(64, "width of one attention head; on a CPU one wide head trains far faster than many thin ones")
    norm_num_groups: int = option(8, "groups of the group normalisation; must divide every width")
    dropout: float = option(0.0, "dropout in the residual blocks")
    init_from: str | None = option(None, "start from 'bundled', a pipeline folder or a Hub id; its network replaces the options above")

    # The noise and the loss
    beta_schedule: str = option("squaredcos_cap_v2", "noise schedule, in diffusers' words (squaredcos_cap_v2 is cosine)", BETA_SCHEDULES)
    num_train_timesteps: int = option(1000, "T, the steps of the chain")
    beta_start: float = option(1e-4, "first beta, for the schedules that have one")
    beta_end: float = option(0.02, "last beta, for the schedules that have one")
    rescale_betas_zero_snr: bool = option(False, "shift the schedule so that x_T is pure noise")
    prediction_type: str = option("v_prediction", "what the network predicts", PREDICTION_TYPES)
    min_snr_gamma: float | None = option(None, "weight the loss by min(SNR, gamma) in terms of x_0; none: plain mean squared error")

    variance: str = option("fixed", "'learned_range': the network also predicts the reverse variances (Nichol 2021)", VARIANCES)
    vlb_weight: float = option(0.001, "weight of the variational bound beside the squared error, with learned variances")
    timestep_sampling: str = option("stratified", "how timesteps are drawn; 'loss_aware' favours those with a large bound term", TIMESTEP_SAMPLINGS)

    # Optimisation
    train_images: int = option(600_000, "images to learn from in all, repeats counted; the learning rate ends its decay there")
    batch_size: int = option(64, "images in one forward pass of each process")
    gradient_accumulation_steps: int = option(1, "forward and backward passes for one step of the optimizer")
    learning_rate: float = option(2e-3, "highest learning rate")
    lr_schedule: str = option("linear", "how it changes after the warm-up, in diffusers' words; 'constant' has no warm-up", LR_SCHEDULES)
    lr_warmup_steps: int = option(100, "steps in which it rises from zero")
    adam_beta1: float = option(0.9, "horizon of Adam's first moment")
    adam_beta2: float = option(0.99, "horizon of Adam's second moment; short, since the run is short")
    weight_decay: float = option(0.0, "AdamW's weight decay")
    max_grad_norm: float = option(1.0, "gradients are scaled down to this norm")
    ema_decay: float = option(0.998, "decay of the averaged weights, which are the ones kept; it warms up from zero")

    # How it runs
    mixed_precision: str = option("auto", "'auto' is bf16 where the machine computes in it, else float32 ('no')", ("auto", "no", "bf16", "fp16"))
    cpu_threads: int = option(0, "threads of each process on a CPU; 0 for all cores, shared by the processes")
    channels_last: bool = option(False, "store images channel by channel last: faster on some machines, slower on others")
    compile: bool = option(False, "compile the network first (takes a minute or more, and a C++ compiler)")
    log_every: int = option(50, "steps between two lines of the log")
    sample_every: int = option(100_000, "images between two sample grids; 0 for the last one only")
    sample_images: int = option(64, "pictures in a grid")
    sample_steps: int = option(50, "reverse steps of a grid")
    checkpoint_every: int = option(50_000, "images between two checkpoints; 0 for none")
    keep_checkpoints: int = option(2, "older checkpoints are removed")
    resume: str | None = option(None, "'latest', or a checkpoint folder: go on with a run instead of starting one")
    trackers: tuple[str, ...] = option((), "where else the log goes: tensorboard, trackio, wandb")
    tracker_project: str = option("ddpm_space", "the project's name there")
    dry_run: bool = option(False, "print what the run would be (network, cost, schedule) and stop; no data are read")

    # Evaluation
    eval_split: str = option("test", "the split held out; a set without it gives up eval_images pictures of its training split")
    eval_every: int = option(0, "images between two evaluations; 0 for the end only")
    eval_images: int = option(64, "held-out images whose bits/dim are estimated; 0 for none")
    eval_terms: int = option(99, "network evaluations for each of them")
    eval_samples: int = option(0, "samples drawn for the Frechet distance at the end; 0 for none")
    eval_steps: int = option(100, "reverse steps of those samples")
    features: str = option("auto", "feature network of the Frechet distance; 'auto' takes the one that fits the data", FEATURES)

    # The Hub (the token comes from HF_TOKEN or a login, never from an option)
    push_to_hub: bool = option(False, "upload the finished model; the right to write is proved before training")
    hub_model_id: str | None = option(None, "where to: user/name")
    hub_private: bool = option(False, "make the repository private")
    hub_revision: str | None = option(None, "branch to push to; made where there is none")
    hub_create_pr: bool = option(False, "open a pull request instead of writing to the branch")

    def __post_init__(self) -> None:
        for item in fields(self):
            value, choices = getattr(self, item.name), item.metadata["choices"]
            if choices and value not in choices:
                raise ConfigError(f"{item.name} = '{value}': use one of {', '.join(choices)}")
        positive = (
            "resolution num_train_timesteps train_images batch_size layers_per_block norm_num_groups attention_head_dim log_every "
            "sample_images sample_steps keep_checkpoints learning_rate max_grad_norm channels shuffle_buffer memory_limit_gb "
            "gradient_accumulation_steps eval_terms eval_steps"
        )
        for name in positive.split():
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: use a number above 0")
        not_negative = "lr_warmup_steps sample_every checkpoint_every weight_decay seed cpu_threads vlb_weight eval_every eval_images eval_samples"
        for name in not_negative.split():
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} = {getattr(self, name)}: use 0 or more")
        for name in ("ema_decay", "adam_beta1", "adam_beta2", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} = {getattr(self, name)}: use at least 0 and below 1")
        if self.train_images < self.batch_size:
            raise ConfigError(f"train_images = {self.train_images} is less than one batch of {self.batch_size}: raise it or lower batch_size")
        if self.sample_steps > self.num_train_timesteps:
            raise ConfigError(f"sample_steps = {self.sample_steps} but the chain has {self.num_train_timesteps}: use at most as many")
        if self.min_snr_gamma is not None and not self.min_snr_gamma > 0:
            raise ConfigError(f"min_snr_gamma = {self.min_snr_gamma}: use a number above 0 (5 is usual), or leave it out")

    def to_yaml(self) -> str:
        """The options as a file for --config."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return yaml.safe_dump(plain, sort_keys=False)


def read_preset(path: str) -> dict[str, Any]:
    """Read options from a YAML file, or from a preset by its bare name, such as "quick".

    Raises:
        ConfigError: no such file or preset, not a mapping, an unknown option.
    """
    file = Path(path) if Path(path).is_file() else PRESETS / Path(path).with_suffix(".yaml").name
    if not file.is_file() or (file.parent == PRESETS and Path(path).parent.name not in ("", "configs")):
        raise ConfigError(
            f"there is no file '{path}': give a YAML file or one of the presets {', '.join(sorted(p.stem for p in PRESETS.glob('*.yaml')))}"
        )
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not YAML ({str(error).splitlines()[0]}): write one 'option: value' a line") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no options: write one 'option: value' a line")
    return content


def make_config(options: dict[str, Any]) -> TrainConfig:
    """Build a config from plain values of a YAML file or the command line, converted to each option's type.

    Raises:
        ConfigError: an unknown option (with the nearest name), or a value of the wrong type.
    """
    hints = get_type_hints(TrainConfig)
    converted = {}
    for name, value in options.items():
        if name not in hints:
            near = difflib.get_close_matches(str(name), hints, 1)
            raise ConfigError(f"unknown option '{name}'" + (f": did you mean '{near[0]}'?" if near else ": see --help for all of them"))
        converted[name] = _convert(name, value, hints[name])
    return TrainConfig(**converted)


def parse(arguments: Sequence[str] | None = None) -> TrainConfig:
    """Read the command line (and the file that --config names)."""
    parser = argparse.ArgumentParser(
        prog="train.py",
        description="Train a DDPM with diffusers and accelerate: accelerate launch training/train.py --config quick",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", help="YAML file of options, or a preset: " + ", ".join(sorted(p.stem for p in PRESETS.glob("*.yaml"))))
    hints = get_type_hints(TrainConfig)
    for item in fields(TrainConfig):
        text = f"{item.metadata['text']} (default: {item.default})".replace("%", "%%")
        settings: dict[str, Any] = {"dest": item.name, "default": argparse.SUPPRESS, "help": text}
        if hints[item.name] is bool:
            settings["action"] = argparse.BooleanOptionalAction
        else:
            settings["metavar"] = "|".join(item.metadata["choices"] or ()) or item.name.upper()
        flags = dict.fromkeys((f"--{item.name}", f"--{item.name.replace('_', '-')}"))
        parser.add_argument(*flags, **settings)
    given = vars(parser.parse_args(arguments))
    preset = given.pop("config")
    return make_config({**(read_preset(preset) if preset else {}), **given})


def _convert(name: str, value: Any, hint: Any) -> Any:
    inner = get_args(hint)
    optional = type(None) in inner
    if optional and (value is None or str(value).lower() in ("none", "null", "")):
        return None
    kind = inner[0] if inner else hint
    try:
        if inner and not optional:
            parts = value.replace(",", " ").split() if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
            return tuple(str(part) if inner[0] is str else _whole(part) for part in parts)
        if kind is bool:
            if not isinstance(value, bool):
                raise ValueError
            return value
        if kind is int:
            return _whole(value)
        return kind(value)
    except (TypeError, ValueError, OverflowError) as error:
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise ConfigError(f"{name} = {value!r}: use {'whole numbers such as 32,64,64' if inner and not optional else words[kind]}") from error


def _whole(value: Any) -> int:
    """Accept 5, '5', '60_000', 5e4 and '5e4', and nothing that has a fraction."""
    number = float(value)
    if isinstance(value, bool) or number != int(number):
        raise ValueError(value)
    return int(value) if isinstance(value, int) else int(number)
