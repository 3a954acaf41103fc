"""Options of a run: one source for defaults, file, command line and help; every bad value refused with the fix."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
import yaml
from diffusers.optimization import SchedulerType

from ddpm_space.denoiser import PREDICTION_TYPES
from ddpm_space.schedule import SCHEDULES
from ddpm_space.scheduler_parts.stock_schedules import BETA_SCHEDULES
from training.config import PRESETS, ConfigError, TrainConfig, make_config, parse, read_preset
from training.contradictions import WITH_BETA_RANGE
from training.evaluate import EvaluationSettings
from training.model import build_scheduler, build_unet, check_shape, count_parameters

ROOT = Path(__file__).resolve().parent.parent


def test_the_command_line_beats_the_file_and_the_file_beats_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("batch_size: 8\nlearning_rate: 1.0e-4\n")
    for arguments in (["--config", str(file), "--learning_rate", "3e-4"], ["--learning_rate", "3e-4", "--config", str(file)]):
        config = parse(arguments)
        assert (config.batch_size, config.learning_rate, config.seed) == (8, 3e-4, 0)


def test_a_config_survives_its_own_file(tmp_path: Path) -> None:
    options = {
        "block_out_channels": "8,16",
        "attention_levels": "",
        "min_snr_gamma": 5,
        "compile": True,
        "train_images": "60_000",
        "trackers": "wandb",
    }
    config = make_config(options)
    assert (config.attention_levels, config.train_images, config.trackers) == ((), 60_000, ("wandb",))
    assert make_config({"block_out_channels": 8, "attention_levels": [0], "min_snr_gamma": "none"}).block_out_channels == (8,)
    file = tmp_path / "written.yaml"
    file.write_text(config.to_yaml())
    assert parse(["--config", str(file)]) == config


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_is_a_run_that_nothing_refuses(preset: str) -> None:
    config = parse(["--config", preset])
    assert config.output_dir == f"runs/{preset}"
    check_shape(config)
    build_scheduler(config)
    EvaluationSettings.of(config)
    assert read_preset(f"training/configs/{preset}.yaml") == read_preset(preset)


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for item in fields(TrainConfig):
        assert f"--{item.name}" in shown and item.metadata["text"] and item.metadata["text"] in shown
        assert item.metadata["section"] in shown


def test_options_are_read_before_anything_heavy_is_imported() -> None:
    told = (
        "import sys; from training.config import parse; parse(['--seed', '3']); print({'torch', 'numpy', 'datasets', 'diffusers'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "set()"


def test_dashes_and_underscores_mean_the_same_and_none_is_a_value() -> None:
    given = "--batch-size 4 --channels_last --no-compile --no_flip --min_snr_gamma none --block-out-channels 8 16 --attention_levels --seed=3"
    config = parse(given.split())
    assert (config.batch_size, config.channels_last, config.flip, config.seed) == (4, True, False, 3)
    assert (config.min_snr_gamma, config.block_out_channels, config.attention_levels) == (None, (8, 16), ())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ("--batch_siz 3", "unknown option 'batch_siz': did you mean 'batch_size'?"),
        ("--batch-siz=3", "unknown option 'batch_siz': did you mean 'batch_size'?"),
        ("--no-compil", "did you mean 'compile'?"),
        ("--zzz", "unknown option 'zzz': see --help"),
        ("quick", "'quick' belongs to no option"),
        ("--flip true", "'true' belongs to no option"),
        ("--batch_size many", "batch_size = 'many': use a whole number"),
        ("--block_out_channels 8 x", "block_out_channels = 'x': use whole numbers such as"),
        ("--min_snr_gamma five", "min_snr_gamma = 'five': use a number"),
        ("--learning_rate", "learning_rate has no value: use a number"),
        ("--config", "config has no value: use a file or a preset"),
        ("--crop top", "crop = 'top': use one of center, random, stretch"),
        ("--trackers mlflow", "trackers = 'mlflow': use any of tensorboard, trackio, wandb"),
    ],
)
def test_a_slip_on_the_command_line_is_named_with_its_fix(arguments: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(arguments.split())
    assert named in str(caught.value)


@pytest.mark.parametrize("arguments", ["--hub_token hf_secret", "--hub-token=hf_secret", "--token hf_secret --seed 1"])
def test_a_token_is_no_option_and_is_not_repeated(arguments: str) -> None:
    with pytest.raises(ConfigError, match=r"unknown option '(hub_)?token'") as caught:
        parse(arguments.split())
    assert "secret" not in str(caught.value)


def test_choices_are_what_the_parts_that_use_them_know() -> None:
    hints = get_type_hints(TrainConfig)
    assert get_args(hints["beta_schedule"]) == BETA_SCHEDULES and get_args(hints["prediction_type"]) == PREDICTION_TYPES
    assert set(get_args(hints["lr_schedule"])) < {kind.value for kind in SchedulerType}
    takes_range = {name for name, builder in SCHEDULES.items() if "beta_start" in inspect.signature(builder).parameters}
    assert set(WITH_BETA_RANGE) == takes_range


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"push_to_hub": True}, "set hub_model_id"),
        ({"push_to_hub": True, "hub_model_id": "a/b/c"}, "hub_model_id = 'a/b/c': use user/name"),
        ({"hub_model_id": "a/b"}, "hub_model_id = a/b, but nothing is pushed: add push_to_hub"),
        ({"hub_private": True}, "hub_private = True"),
        ({"hub_revision": "x"}, "hub_revision = x"),
        ({"hub_create_pr": True}, "hub_create_pr = True"),
        ({"dataset_revision": "main"}, "the dataset 'bundled' is not on the Hub"),
        ({"dataset": str(Path(__file__).parent), "dataset_config": "plain"}, "is not on the Hub"),
        ({"streaming": True, "memory_limit_gb": 1}, "memory_limit_gb = 1.0, but with streaming"),
        ({"shuffle_buffer": 5}, "shuffle_buffer = 5, but only a stream"),
        ({"vlb_weight": 1}, "add variance = learned_range"),
        ({"beta_end": 0.5}, "beta_end = 0.5, but beta_schedule = squaredcos_cap_v2 has none"),
        ({"eval_every": 5, "eval_images": 0}, "nothing to evaluate"),
        ({"eval_steps": 5}, "eval_steps = 5, but eval_samples = 0"),
        ({"features": "mnist"}, "features = mnist, but eval_samples = 0"),
        ({"train_images": 100, "gradient_accumulation_steps": 2}, "less than one step of 128 images (batch_size x gradient_accumulation_steps)"),
        ({"lr_schedule": "constant", "lr_warmup_steps": 500}, "lr_warmup_steps = 500, but lr_schedule = constant has no warm-up"),
        ({"trackers": ["wandb", "wandb"]}, "names wandb twice"),
        ({"tracker_project": "faces"}, "tracker_project = faces, but nothing is tracked"),
    ],
)
def test_options_that_cannot_be_meant_together_are_named(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(options)
    assert named in str(caught.value)


def test_options_that_look_alike_and_agree_are_accepted() -> None:
    make_config({"push_to_hub": True, "hub_model_id": "me/digits", "hub_private": True, "hub_revision": "v2", "hub_create_pr": True})
    make_config({"streaming": True, "shuffle_buffer": 5, "flip": True, "dataset": "user/pictures", "dataset_revision": "main"})
    make_config({"resume": "latest", "init_from": "bundled"})  # one command starts a run and goes on with it; the network's shape is init_from's
    make_config({"variance": "learned_range", "vlb_weight": 0.01, "beta_schedule": "linear", "beta_end": 0.05})
    make_config({"lr_schedule": "constant", "lr_warmup_steps": 0})
    make_config({"dataset_split": "test", "eval_split": "none_such", "eval_samples": 500, "features": "mnist", "eval_steps": 10})


def test_the_papers_network_has_the_papers_size() -> None:
    with torch.device("meta"):
        assert count_parameters(build_unet(parse(["--config", "cifar10"]))) == 35_746_307


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"learning_rat": 1}, "did you mean 'learning_rate'"),
        ({"batch_size": "many"}, "batch_size = 'many': use a whole number"),
        ({"batch_size": 1.5}, "whole number"),
        ({"batch_size": 0}, "batch_size = 0: use a number above 0"),
        ({"batch_size": True}, "whole number"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"channels": 0}, "channels = 0: use a number above 0"),
        ({"ema_decay": 1.0}, "ema_decay = 1.0"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": 2**32}, "seed = 4294967296"),
        ({"compile": "maybe"}, "true or false"),
        ({"block_out_channels": "32,x"}, "whole numbers such as"),
        ({"prediction_type": "eps"}, "epsilon, sample, v_prediction"),
        ({"beta_schedule": "quadratic"}, "squaredcos_cap_v2"),
        ({"lr_schedule": "step"}, "linear, cosine, "),
        ({"mixed_precision": "fp8"}, "bf16"),
        ({"train_images": 32}, "less than one step of 64 images (batch_size)"),
        ({"sample_steps": 2000}, "the chain has 1000"),
        ({"min_snr_gamma": -1}, "min_snr_gamma = -1.0: use a number above 0"),
        ({"beta_schedule": "linear", "beta_start": float("inf")}, "beta_start = inf: use a number that is finite"),
        ({"learning_rate": float("inf")}, "learning_rate = inf: use a number above 0"),
        ({"seed": None}, "seed = none: use a whole number"),
        ({5: 3}, "unknown option '5'"),
        ({"dropout": -0.1}, "use a number of 0 or more and below 1"),
    ],
)
def test_a_bad_value_is_named_with_its_fix(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(options)
    assert named in str(caught.value)


def test_files_that_are_no_config(tmp_path: Path) -> None:
    for name, content in {"list": "- 1\n- 2\n", "broken": "a: [1\n", "binary": "\xff\xfe"}.items():
        file = tmp_path / f"{name}.yaml"
        file.write_bytes(content.encode("latin-1"))
        with pytest.raises(ConfigError, match=r"option: value"):
            read_preset(str(file))
    with pytest.raises(ConfigError, match=r"presets cifar10, fashion_mnist, mnist, quick"):
        read_preset("no_such_preset")
    for missing in (str(tmp_path / "mnist.yaml"), "mnist.json", "mnist.2"):
        with pytest.raises(ConfigError, match=r"there is no file"):
            read_preset(missing)


def test_a_preset_holds_only_what_differs_from_the_defaults_or_names_the_run() -> None:
    for path in PRESETS.glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= {item.name for item in fields(TrainConfig)}
