"""The network, the schedule and the folder a run ends in: what cannot work is refused, what is written is plain diffusers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

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
        ({"beta_schedule": "linear", "num_train_timesteps": 100_000}, ("training is refused", "alpha_bar is 0 from t = 83640", "fewer steps")),
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
    assert all(weight.requires_grad for weight in unet.parameters())


@pytest.mark.parametrize("changes", [{"add_attention": True}, {"block_out_channels": [16, 16]}], ids=["missing", "of another width"])
def test_starting_from_weights_that_do_not_fit_is_refused(copy_of_tiny: Path, edit_json: Callable[..., None], changes: dict[str, object]) -> None:
    edit_json(copy_of_tiny / "unet/config.json", **changes)
    with pytest.raises(ConfigError, match=r"init_from: The weights of .* do not fit its config"):
        build_unet(make_config({**TINY, "init_from": str(copy_of_tiny)}))


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_a_network_has_the_channels_of_the_image_and_as_many_again_for_a_learned_variance(channels: int) -> None:
    for variance, returned in (("fixed", channels), ("learned_range", 2 * channels)):
        unet = build_unet(make_config({**TINY, "channels": channels, "variance": variance}))
        assert unet(torch.zeros(1, channels, 8, 8), torch.tensor([3])).sample.shape == (1, returned, 8, 8)


def test_starting_from_a_model_wants_the_variance_that_its_network_has(tiny_pipeline: Path, new_pipeline: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"returns 1 channels for 1 of the image, which is not variance = learned_range: set variance = fixed"):
        build_unet(make_config({**TINY, "init_from": str(tiny_pipeline), "variance": "learned_range"}))
    learned = new_pipeline(out_channels=2)
    with pytest.raises(ConfigError, match=r"returns 2 channels for 1 of the image, which is not variance = fixed: set variance = learned_range"):
        build_unet(make_config({**TINY, "init_from": str(learned)}))
    assert build_unet(make_config({**TINY, "init_from": str(learned), "variance": "learned_range"})).config.out_channels == 2


PLAIN = """
import sys, torch
from diffusers import DDPMPipeline
for folder in sys.argv[1:]:
    weights = []
    for variant in (None, "raw"):
        pipeline = DDPMPipeline.from_pretrained(folder, use_safetensors=True, variant=variant)
        weights.append(float(pipeline.unet.conv_in.bias[0].detach()))
    assert not any(name.split(".")[0] in ("ddpm_space", "training") for name in sys.modules)
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(batch_size=2, num_inference_steps=4, generator=torch.manual_seed(0), output_type="np").images
    config = pipeline.scheduler.config
    print(type(pipeline.scheduler).__name__, config.prediction_type, config.variance_type, images.size, *weights,
          float(pipeline.scheduler.alphas_cumprod[7]))
"""


def test_plain_diffusers_loads_what_was_saved(tmp_path: Path) -> None:
    folders, expected = [], []
    for options in ({}, {"beta_schedule": "laplace_corrected"}, {"variance": "learned_range", "channels": 3}):
        config = make_config({**TINY, **options})
        scheduler, folder = build_scheduler(config), tmp_path / f"model{len(folders)}"
        unet = build_unet(config).to(torch.bfloat16, memory_format=torch.channels_last)
        raw = {name: value + 1 for name, value in unet.state_dict().items()}
        save_pipeline(unet, scheduler, folder, "a card", config, raw)
        index = json.loads((folder / "model_index.json").read_text())
        assert {entry[0] for entry in index.values() if isinstance(entry, list)} == {"diffusers"} and index["_class_name"] == "DDPMPipeline"
        names = ["config.json", "diffusion_pytorch_model.raw.safetensors", "diffusion_pytorch_model.safetensors"]
        assert sorted(path.name for path in (folder / "unet").iterdir()) == names
        assert all(value.dtype == torch.float32 for name in names[1:] for value in load_file(folder / "unet" / name).values())
        assert (folder / "README.md").read_text() == "a card" and make_config(yaml.safe_load((folder / "training_config.yaml").read_text())) == config
        folders.append(str(folder))
        bias = unet.state_dict()["conv_in.bias"][0].float()
        variance = "learned_range" if options.get("variance") else "fixed_small"
        expected.append((variance, 2 * 8 * 8 * config.channels, float(bias), float(raw["conv_in.bias"][0]), float(scheduler.schedule.alpha_bar[7])))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", PLAIN, *folders], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    for line, (variance, size, averaged, trained, alpha_bar) in zip(done.stdout.splitlines(), expected, strict=True):
        assert line.split()[:4] == ["DDPMScheduler", "v_prediction", variance, str(size)]
        assert [float(value) for value in line.split()[4:]] == pytest.approx([averaged, trained, alpha_bar], rel=1e-4)


def test_saving_draws_no_random_numbers_and_tells_no_folder_of_this_machine(tiny_pipeline: Path, tmp_path: Path) -> None:
    config = make_config({**TINY, "init_from": str(tiny_pipeline)})
    unet, state = build_unet(config), torch.get_rng_state()
    save_pipeline(unet, build_scheduler(config), tmp_path / "model", "a card", replace(config, init_from=None))
    assert torch.equal(torch.get_rng_state(), state)
    assert not [path for path in (tmp_path / "model").rglob("*.json") if str(tiny_pipeline) in path.read_text()]
    assert [path.name for path in (tmp_path / "model" / "unet").glob("*.safetensors")] == ["diffusion_pytorch_model.safetensors"]
