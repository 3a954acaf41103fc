"""Options of a run: one source for defaults, file, command line and help; every bad value refused with the fix."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from training.config import PRESETS, ConfigError, TrainConfig, make_config, parse, read_preset


def test_the_command_line_beats_the_file_and_the_file_beats_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("batch_size: 8\nlearning_rate: 1.0e-4\n")
    config = parse(["--config", str(file), "--learning_rate", "3e-4"])
    assert (config.batch_size, config.learning_rate, config.seed) == (8, 3e-4, 0)


def test_a_config_survives_its_own_file(tmp_path: Path) -> None:
    config = make_config({"block_out_channels": "8,16", "attention_levels": "", "min_snr_gamma": 5, "compile": True, "train_images": "60_000"})
    assert config.attention_levels == ()
    file = tmp_path / "written.yaml"
    file.write_text(config.to_yaml())
    assert parse(["--config", str(file)]) == config


@pytest.mark.parametrize("preset", sorted(path.stem for path in PRESETS.glob("*.yaml")))
def test_every_preset_is_a_config(preset: str) -> None:
    assert parse(["--config", preset]).output_dir == f"runs/{preset}"
    assert read_preset(f"training/configs/{preset}.yaml") == read_preset(preset)


def test_help_explains_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for item in fields(TrainConfig):
        assert f"--{item.name}" in shown and item.metadata["text"] and " ".join(item.metadata["text"].split()[:3]) in shown


def test_dashes_and_underscores_mean_the_same_and_none_is_a_value() -> None:
    config = parse(["--batch-size", "4", "--channels_last", "--no-compile", "--min_snr_gamma", "none", "--block-out-channels", "8 16"])
    assert (config.batch_size, config.channels_last, config.min_snr_gamma, config.block_out_channels) == (4, True, None, (8, 16))


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
        ({"compile": "maybe"}, "true or false"),
        ({"block_out_channels": "32,x"}, "whole numbers such as"),
        ({"prediction_type": "eps"}, "epsilon, sample, v_prediction"),
        ({"beta_schedule": "quadratic"}, "squaredcos_cap_v2"),
        ({"lr_schedule": "step"}, "linear, cosine, "),
        ({"mixed_precision": "fp8"}, "bf16"),
        ({"train_images": 32}, "less than one batch of 64"),
        ({"sample_steps": 2000}, "the chain has 1000"),
        ({"min_snr_gamma": -1}, "5 is usual"),
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
    with pytest.raises(ConfigError, match=r"presets fashion_mnist, mnist, quick"):
        read_preset("no_such_preset")
    with pytest.raises(ConfigError, match=r"there is no file"):
        read_preset(str(tmp_path / "mnist.yaml"))


def test_a_preset_holds_only_what_differs_from_the_defaults_or_names_the_run() -> None:
    for path in PRESETS.glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) <= {item.name for item in fields(TrainConfig)}
