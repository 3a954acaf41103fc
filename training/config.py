"""Every option of a training run, once: the dataclass is the defaults, the command line, the YAML file and the help text.

Order of precedence: the command line, then the file of --config, then the defaults here. jsonargparse turns texts into the annotated types. Nothing
heavy is imported here: --help and a mistake in an option are answered at once.
"""

from __future__ import annotations

import difflib
import functools
import math
import re
import sys
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml
from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter

from training.contradictions import contradiction

METAVARS = {int: "INT", float: "NUMBER", str: "TEXT"}
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text (in quotes in YAML, if it looks like a number)"}
PRESETS = Path(__file__).resolve().parent / "configs"


class ConfigError(ValueError):
    """An option that no run can start with: the message names the value and the fix."""


def option(
    default: Any, text: str, *, above: float | None = None, at_least: float | None = None, below: float | None = None, section: str = ""
) -> Any:
    """A field with its explanation, which is also its --help, and its range; `section` is the heading over it and what follows."""
    return field(default=default, metadata={"text": text, "above": above, "at_least": at_least, "below": below, "section": section})


@dataclass(frozen=True)
class TrainConfig:
    """Options of one run."""

    dataset: str = option(
        "bundled", "'bundled', a parquet file, a folder of pictures or of parquet files, or a data set's id on the Hub", section="Data"
    )
    dataset_split: str = option("train", "which split of it")
    dataset_config: str | None = option(None, "which configuration of a data set on the Hub, where it has several")
    dataset_revision: str | None = option(None, "branch, tag or commit of a data set on the Hub")
    image_column: str | None = option(None, "the column with the images; by default the only one there is")
    resolution: int = option(28, "height and width in pixels", above=0)
    channels: int = option(1, "1 for gray, 3 for RGB, 4 for RGB with transparency; other numbers need a column of arrays", above=0)
    crop: Literal["center", "random", "stretch"] = option(
        "center", "how pictures become square: the shorter side is fitted and the rest cut, or stretched"
    )
    flip: bool = option(False, "mirror every other picture, at random; wrong for digits and letters")
    skip_broken: bool = option(False, "leave out pictures that cannot be read, and count them, instead of stopping")
    memory_limit_gb: float = option(4.0, "decoded pictures are kept in memory up to this many GB; larger sets are decoded anew at each use", above=0)
    streaming: bool = option(False, "read the data set while training instead of before it; for sets that do not fit on the disk")
    shuffle_buffer: int = option(10_000, "pictures that a stream is shuffled among", above=0)

    init_from: str | None = option(
        None, "start from 'bundled', a pipeline folder or a Hub id; its network replaces the options below", section="Network: diffusers' UNet2DModel"
    )
    block_out_channels: tuple[int, ...] = option((32, 64, 64), "width of each level; every level after the first halves the image")
    layers_per_block: int = option(1, "residual blocks in a level", above=0)
    attention_levels: tuple[int, ...] = option((2,), "levels with self-attention, 0 is full resolution (the middle always has it)")
    attention_head_dim: int = option(64, "width of one attention head; on a CPU one wide head trains far faster than many thin ones", above=0)
    norm_num_groups: int = option(8, "groups of the group normalisation; must divide every width", above=0)
    dropout: float = option(0.0, "dropout in the residual blocks", at_least=0, below=1)

    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2", "sigmoid", "laplace", "cosine", "laplace_corrected"] = option(
        "squaredcos_cap_v2", "noise schedule, in diffusers' words (squaredcos_cap_v2 is cosine)", section="Noise and objective"
    )
    num_train_timesteps: int = option(1000, "T, the steps of the chain", above=0)
    beta_start: float = option(1e-4, "first beta, for the schedules that have one")
    beta_end: float = option(0.02, "last beta, for the schedules that have one")
    rescale_betas_zero_snr: bool = option(False, "shift the schedule so that x_T is pure noise")
    prediction_type: Literal["epsilon", "sample", "v_prediction"] = option("v_prediction", "what the network predicts")
    min_snr_gamma: float | None = option(
        None, "weight the loss by min(SNR, gamma) in terms of x_0, 5 is usual; none: plain mean squared error", above=0
    )
    variance: Literal["fixed", "learned_range"] = option("fixed", "'learned_range': the network also predicts the reverse variances (Nichol 2021)")
    vlb_weight: float = option(0.001, "weight of the variational bound beside the squared error, with learned variances", at_least=0)
    timestep_sampling: Literal["stratified", "uniform", "loss_aware"] = option(
        "stratified", "how timesteps are drawn; 'loss_aware' favours those with a large loss and weighs them down for it"
    )

    train_images: int = option(
        600_000, "images to learn from in all, repeats counted; the learning rate ends its decay there", above=0, section="Optimisation"
    )
    batch_size: int = option(64, "images in one forward pass of each process", above=0)
    gradient_accumulation_steps: int = option(1, "forward and backward passes for one step of the optimizer", above=0)
    optimizer: Literal["adamw", "muon"] = option("adamw", "'muon': orthogonalised updates of the inner layers; it wants a higher learning rate, 1e-2")
    learning_rate: float = option(2e-3, "highest learning rate", above=0)
    lr_schedule: Literal["linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup"] = option(
        "linear", "how it changes after the warm-up, in diffusers' words; 'constant' has no warm-up"
    )
    lr_warmup_steps: int = option(100, "steps in which it rises from zero", at_least=0)
    adam_beta1: float = option(0.9, "horizon of Adam's first moment", at_least=0, below=1)
    adam_beta2: float = option(0.99, "horizon of Adam's second moment; short, since the run is short", at_least=0, below=1)
    weight_decay: float = option(0.0, "decoupled weight decay", at_least=0)
    max_grad_norm: float = option(1.0, "gradients are scaled down to this norm", above=0)
    ema_decay: float = option(0.998, "decay of the averaged weights, which are the ones kept; it warms up from zero", at_least=0, below=1)

    output_dir: str = option("runs/mnist", "folder for the checkpoints, the sample grids and the finished model", section="Run")
    seed: int = option(0, "fixes weights, order of the images, timesteps and noise", at_least=0, below=2**32)
    dry_run: bool = option(False, "print what the run would be (network, cost, schedule) and stop; no data are read")
    resume: str | None = option(None, "'latest', or a checkpoint folder: go on with a run instead of starting one")
    checkpoint_every: int = option(50_000, "images between two checkpoints; 0 for none", at_least=0)
    keep_checkpoints: int = option(2, "older checkpoints are removed", above=0)
    mixed_precision: Literal["auto", "no", "bf16", "fp16"] = option("auto", "'auto' is bf16 where the machine computes in it, else float32 ('no')")
    cpu_threads: int = option(0, "threads of each process on a CPU; 0 for all cores, shared by the processes", at_least=0)
    channels_last: bool = option(False, "store images channel by channel last: faster on some machines, slower on others")
    compile: bool = option(False, "compile the network first (takes a minute or more, and a C++ compiler)")
    log_every: int = option(50, "steps between two lines of the log", above=0)
    trackers: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = option((), "where else the log goes")
    tracker_project: str = option("ddpm_space", "the project's name there")
    sample_every: int = option(100_000, "images between two sample grids; 0 for the last one only", at_least=0)
    sample_images: int = option(64, "pictures in a grid", above=0)
    sample_steps: int = option(50, "reverse steps of a grid", above=0)

    eval_split: str = option(
        "test", "the split held out; a set without it gives up eval_images pictures of its training split, at most a tenth", section="Evaluation"
    )
    eval_every: int = option(0, "images between two evaluations; 0 for the end only", at_least=0)
    eval_images: int = option(64, "held-out images whose bits/dim are estimated; 0 for none", at_least=0)
    eval_terms: int = option(99, "network evaluations for each of them", above=0)
    eval_samples: int = option(0, "samples drawn for the Frechet distance at the end; 0 for none", at_least=0)
    eval_steps: int = option(100, "reverse steps of those samples", above=0)
    features: Literal["auto", "mnist", "fashion_mnist", "inception"] = option(
        "auto", "feature network of the Frechet distance; 'auto' takes the one that fits the data"
    )

    push_to_hub: bool = option(
        False, "upload the finished model; the right to write is proved before training", section="Hub (the token is HF_TOKEN or that of a login)"
    )
    hub_model_id: str | None = option(None, "where to: user/name")
    hub_private: bool = option(False, "make the repository private")
    hub_revision: str | None = option(None, "branch to push to; made where there is none")
    hub_create_pr: bool = option(False, "open a pull request instead of writing to the branch")

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_range(item.name, getattr(self, item.name), item.metadata)
        if problem := contradiction(self):
            raise ConfigError(problem)

    def to_yaml(self) -> str:
        """The options as a file for --config."""
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return yaml.safe_dump(plain, sort_keys=False)


FEATURES: tuple[str, ...] = get_args(get_type_hints(TrainConfig)["features"])


def read_preset(path: str) -> dict[str, Any]:
    """Read options from a YAML file, or from a preset by its bare name, such as "quick".

    Raises:
        ConfigError: no such file or preset, or not a mapping.
    """
    file = Path(path) if Path(path).is_file() else PRESETS / Path(path).with_suffix(".yaml").name
    is_preset = Path(path).parent.name in ("", "configs") and Path(path).suffix in ("", ".yaml", ".yml")
    if not file.is_file() or (file.parent == PRESETS and not is_preset):
        raise ConfigError(f"there is no file '{path}': give a YAML file or one of the presets {', '.join(_presets())}")
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not YAML ({str(error).splitlines()[0]}): write one 'option: value' a line") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{file} holds no options: write one 'option: value' a line")
    return content


def make_config(options: dict[str, Any]) -> TrainConfig:
    """Build a config from plain values, as a YAML file or the command line gives them, converted to each option's type.

    Raises:
        ConfigError: an unknown option (with the nearest name), a value of the wrong type or out of range, options that contradict each other.
    """
    hints = get_type_hints(TrainConfig)
    converted: dict[str, Any] = {}
    for name, value in options.items():
        if name not in hints:
            raise _unknown(str(name))
        _, several = _kind(hints[name])
        if several:
            value = value.replace(",", " ").split() if isinstance(value, str) else list(value) if isinstance(value, (list, tuple)) else [value]
        elif isinstance(value, str) and value.lower() == "none":
            value = None
        try:
            read = getattr(_parser().parse_object({name: value}, defaults=False), name)
        except ArgumentError as error:
            raise ConfigError(f"{name} = {value!r}: use {_wanted(hints[name])}") from error
        if read is None and type(None) not in get_args(hints[name]):  # to jsonargparse any option may be without a value
            raise ConfigError(f"{name} = none: use {_wanted(hints[name])}")
        converted[name] = tuple(read) if several else read
    return TrainConfig(**converted)


def parse(arguments: Sequence[str] | None = None) -> TrainConfig:
    """Read the command line (and the file that --config names).

    Raises:
        ConfigError: as `make_config`, and for what is no option at all.
    """
    spelled = [_spelled(argument) for argument in (sys.argv[1:] if arguments is None else arguments)]
    try:
        given = vars(_parser().parse_args(spelled, defaults=False))
    except ArgumentError as error:
        raise _explained(str(error.message)) from error
    preset = given.pop("config", None)
    return make_config({**(read_preset(preset) if preset else {}), **given})


class _Columns(DefaultHelpFormatter):
    """Help in two columns, wide enough for the names of the options."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=40)


@functools.cache
def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="train.py",
        description="Train a DDPM with diffusers and accelerate: accelerate launch training/train.py --config quick",
        usage="%(prog)s [--config FILE] [--OPTION VALUE] [--SWITCH | --no_SWITCH] ...",
        formatter_class=_Columns,
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", metavar="FILE", help=f"YAML file of options, or a preset: {', '.join(_presets())}")
    hints = get_type_hints(TrainConfig)
    group: Any = parser
    for item in fields(TrainConfig):
        group = parser.add_argument_group(item.metadata["section"]) if item.metadata["section"] else group
        kind, several = _kind(hints[item.name])
        how: dict[str, Any] = {"type": kind if several else hints[item.name], "nargs": "*" if several else None, "metavar": METAVARS.get(kind)}
        if kind is bool:
            how = {"action": ActionYesNo(no_prefix="no_")}
        group.add_argument(f"--{item.name}", default=item.default, help=item.metadata["text"], **how)
    return parser


def _kind(hint: Any) -> tuple[Any, bool]:
    """The type of one value, None aside, and whether there may be several."""
    if get_origin(hint) is Literal:
        return hint, False
    inner = [kind for kind in get_args(hint) if kind not in (type(None), ...)]
    return (inner[0] if inner else hint), get_origin(hint) is tuple


def _wanted(hint: Any) -> str:
    kind, several = _kind(hint)
    if get_origin(kind) is Literal:
        return ("any of " if several else "one of ") + ", ".join(get_args(kind))
    return "whole numbers such as 32 64 64" if several else WORDS[kind]


def _spelled(argument: str) -> str:
    """Dashes in an option's name mean underscores, and none is YAML's null."""
    if argument.startswith("--"):
        name, *value = argument.split("=", 1)
        return "=".join(["--" + name[2:].replace("-", "_"), *value])
    return "null" if argument.lower() == "none" else argument


def _explained(message: str) -> ConfigError:
    """Say what jsonargparse found wrong on the command line in the words of this program."""
    named = re.search(r"(?:key \"|argument --)(\w+)", message)
    if not named:
        stray = message.partition(": ")[2].split()
        option_like = [argument[2:].partition("=")[0] for argument in stray if argument.startswith("--")]
        return (
            _unknown(option_like[0])
            if option_like
            else ConfigError(f"'{stray[0]}' belongs to no option: write --OPTION VALUE, and a switch without one")
        )
    value = re.search(r"(?:Got|Given) value: (.*)", message)
    name, given = named[1], f" = '{value[1]}'" if value else " has no value"
    return ConfigError(f"{name}{given}: use {_wanted(get_type_hints(TrainConfig)[name]) if name != 'config' else 'a file or a preset'}")


def _unknown(name: str) -> ConfigError:
    near = difflib.get_close_matches(name.removeprefix("no_"), [item.name for item in fields(TrainConfig)], 1)
    return ConfigError(f"unknown option '{name}'" + (f": did you mean '{near[0]}'?" if near else ": see --help for all of them"))


def _check_range(name: str, value: Any, limits: Mapping[str, Any]) -> None:
    if value is None or not isinstance(value, (int, float)):
        return
    above, at_least, below = limits["above"], limits["at_least"], limits["below"]
    fine = math.isfinite(value) and (above is None or value > above) and (at_least is None or value >= at_least) and (below is None or value < below)
    if not fine:
        words = f"above {above}" if above is not None else f"of {at_least} or more" if at_least is not None else "that is finite"
        raise ConfigError(f"{name} = {value}: use a number {words}" + (f" and below {below}" if below is not None else ""))


def _presets() -> list[str]:
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))
