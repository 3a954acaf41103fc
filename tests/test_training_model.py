"""The network, the schedule and the folder a run ends in: what cannot work is refused, what is written is plain diffusers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.card import model_card
from training.config import ConfigError, make_config
from training.model import build_scheduler, build_unet, save_pipeline

TINY = {"resolution": 8, "block_out_channels": (8, 8), "attention_levels": (), "attention_head_dim": 8, "norm_num_groups": 4, "sample_steps": 5}
TINY |= {"num_train_timesteps": 40, "mixed_precision": "no"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"resolution": 30}, ("resolution = 30", "28 or 32")),
        ({"resolution": 3, "block_out_channels": (8, 8, 8)}, ("resolution = 3", "use 4")),
        ({"block_out_channels": (8, 12), "norm_num_groups": 8}, ("norm_num_groups = 8", "12")),
        ({"attention_levels": (2,), "block_out_channels": (8, 8)}, ("attention_levels has 2", "0 to 1")),
        ({"attention_head_dim": 48}, ("attention_head_dim = 48", "64")),
        ({"block_out_channels": ()}, ("block_out_channels", "at least one")),
        ({"init_from": "no/such/folder"}, ("init_from", "no/such/folder")),
        ({"beta_schedule": "linear", "num_train_timesteps": 50}, ("training is refused", "0.603", "Use more steps")),
        ({"beta_schedule": "linear", "prediction_type": "epsilon", "rescale_betas_zero_snr": True}, ("alpha_bar_T = 0", "v_prediction")),
        ({"beta_schedule": "linear", "beta_end": 1.5}, ("training is refused", "beta_end")),
        ({"beta_schedule": "linear", "beta_start": -0.1}, ("cannot be built",)),
        ({"beta_schedule": "laplace"}, ("laplace_corrected",)),
    ],
)
def test_what_cannot_train_is_refused_with_the_number_and_the_fix(options: dict[str, object], named: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        config = make_config({"sample_steps": 5, **options})
        build_scheduler(config)
        build_unet(config)
    assert all(words in str(caught.value) for words in named), str(caught.value)


def test_zero_terminal_snr_trains_with_v_and_attention_sits_where_it_was_asked_for() -> None:
    assert build_scheduler(make_config({"rescale_betas_zero_snr": True})).schedule.terminal_alpha_bar == 0
    unet = build_unet(make_config({**TINY, "block_out_channels": (8, 8, 8), "attention_levels": (1,), "channels": 3}))
    assert unet.config.down_block_types == ("DownBlock2D", "AttnDownBlock2D", "DownBlock2D")
    assert unet.config.up_block_types == ("UpBlock2D", "AttnUpBlock2D", "UpBlock2D")
    assert unet(torch.zeros(2, 3, 8, 8), torch.tensor([0, 5])).sample.shape == (2, 3, 8, 8)


def test_starting_from_a_model_takes_its_network_and_refuses_other_channels(tiny_pipeline: Path) -> None:
    unet = build_unet(make_config({**TINY, "init_from": str(tiny_pipeline), "resolution": 16}))
    assert unet.config.sample_size == 16 and unet.config.block_out_channels == [8, 8]
    with pytest.raises(ConfigError, match=r"set channels"):
        build_unet(make_config({**TINY, "init_from": str(tiny_pipeline), "channels": 3}))
    with pytest.raises(ConfigError, match=r"use 8 or 10"):
        build_unet(make_config({**TINY, "init_from": str(tiny_pipeline), "resolution": 9}))


PLAIN = """
import sys, torch
from diffusers import DDPMPipeline
for folder in sys.argv[1:]:
    pipeline = DDPMPipeline.from_pretrained(folder, use_safetensors=True)
    assert not any(name.split(".")[0] in ("ddpm_space", "training") for name in sys.modules)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(batch_size=2, num_inference_steps=4, generator=torch.manual_seed(0), output_type="np").images
    scheduler = pipeline.scheduler
    print(type(scheduler).__name__, scheduler.config.prediction_type, images.size, float(scheduler.alphas_cumprod[7]))
"""


def test_plain_diffusers_loads_what_was_saved(tmp_path: Path) -> None:
    facts = {"data_name": "mnist_small (bundled)", "data_size": 100, "parameters": 10, "images": 50, "seconds": 60.0, "loss": 0.5, "precision": "no"}
    folders, expected = [], []
    for beta_schedule in ("squaredcos_cap_v2", "laplace_corrected"):
        config = make_config({**TINY, "beta_schedule": beta_schedule})
        scheduler, folder = build_scheduler(config), tmp_path / beta_schedule
        save_pipeline(build_unet(config), scheduler, folder, model_card(config, **facts), config)  # type: ignore[arg-type]
        index = json.loads((folder / "model_index.json").read_text())
        assert {entry[0] for entry in index.values() if isinstance(entry, list)} == {"diffusers"} and index["_class_name"] == "DDPMPipeline"
        assert sorted(path.suffix for path in (folder / "unet").iterdir()) == [".json", ".safetensors"]
        folders.append(str(folder))
        expected.append(float(scheduler.schedule.alpha_bar[7]))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", PLAIN, *folders], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    for line, alpha_bar in zip(done.stdout.splitlines(), expected):
        assert line.split()[:3] == ["DDPMScheduler", "v_prediction", str(2 * 8 * 8)]
        assert float(line.split()[3]) == pytest.approx(alpha_bar, rel=1e-4)


def test_a_card_credits_mnist_and_only_mnist_and_shows_no_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"data_size": 100, "parameters": 10, "images": 50, "seconds": 60.0, "loss": 0.5, "precision": "bf16"}
    monkeypatch.setattr(sys, "argv", ["train.py", "--dataset", "/home/somebody/sets/train.parquet", "--output_dir=/home/somebody/runs"])
    card = model_card(make_config({}), data_name="ylecun/mnist", **facts)  # type: ignore[arg-type]
    assert "CC BY-SA 3.0" in card and "somebody" not in card and "--dataset train.parquet --output_dir=runs" in card
    assert "CC BY-SA" not in model_card(make_config({}), data_name="fashion_mnist", **facts)  # type: ignore[arg-type]
