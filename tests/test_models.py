"""Loading models: what training writes loads and behaves as in diffusers; weights and schedulers that cannot be used are refused in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ddpm_space import models
from ddpm_space.likelihood import variational_bound
from ddpm_space.models import BUNDLED, BUNDLED_FOLDER, LoadedModel, load
from ddpm_space.pipeline_folder import WEIGHTS
from ddpm_space.sampling import SamplingSettings, sample


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = folder / "unet" / WEIGHTS
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def test_a_trained_folder_loads(tiny_pipeline: Path) -> None:
    from diffusers import DDPMPipeline

    model = load(tiny_pipeline)
    pipeline = DDPMPipeline.from_pretrained(tiny_pipeline)
    assert model.shape == (1, 8, 8) and model.source == str(tiny_pipeline) and model.prediction_type == "epsilon"
    assert model.revision is None and model.card_path is None and not model.learned_variance
    assert model.num_parameters == sum(weight.numel() for weight in pipeline.unet.parameters())
    assert model.scheduler_config["beta_schedule"] == "squaredcos_cap_v2"
    assert (model.denoiser.schedule.alpha_bar - pipeline.scheduler.alphas_cumprod).abs().max() < 1e-5
    x_t, t = torch.randn(3, 1, 8, 8), torch.tensor([0, 20, 49])
    output = model.denoiser.network(x_t, t)
    assert not output.requires_grad
    with torch.no_grad():
        assert (output - pipeline.unet(x_t, t).sample).abs().max() < 1e-5


def test_the_model_is_quiet_and_ready(new_pipeline: Callable[..., Path]) -> None:
    """Dropout is off (eval mode), so that two calls agree."""
    model = load(new_pipeline(dropout=0.5))
    x_t, t = torch.randn(2, 1, 8, 8), torch.tensor([5, 5])
    assert torch.equal(model.denoiser.network(x_t, t), model.denoiser.network(x_t, t))


def test_a_loaded_model_samples_and_an_image_does_not_depend_on_its_batch(tiny_pipeline: Path) -> None:
    model = load(tiny_pipeline)
    ends = []
    for num_images in (1, 4):
        settings = SamplingSettings(num_images=num_images, num_steps=5, seed=3, num_train_timesteps=len(model.denoiser.schedule))
        *_, last = sample(model.denoiser, model.shape, settings)
        ends.append(last.x_prev)
    assert ends[1].shape == (4, 1, 8, 8)
    assert (ends[0][0] - ends[1][0]).abs().max() < 1e-4


def test_no_result_depends_on_where_a_file_or_a_process_holds_the_weights(tiny_pipeline: Path) -> None:
    """Sums round by where their operands begin (two processes once differed in the eighth digit): every weight begins at 64 bytes."""
    for source in (tiny_pipeline, "bundled:mnist"):
        network = load(source).denoiser.network
        assert isinstance(network, models.UNetNetwork)
        assert {weight.data_ptr() % 64 for weight in network.unet.state_dict().values()} == {0}


@pytest.mark.parametrize("prediction_type", ["sample", "v_prediction"])
def test_the_prediction_type_is_kept(new_pipeline: Callable[..., Path], prediction_type: str) -> None:
    model = load(new_pipeline(prediction_type=prediction_type))
    assert model.prediction_type == model.denoiser.prediction_type == prediction_type


def test_a_learned_variance_is_kept_for_the_bound_and_left_out_of_sampling(new_pipeline: Callable[..., Path]) -> None:
    from diffusers import UNet2DModel

    folder = new_pipeline(in_channels=3, out_channels=6)
    model = load(folder)
    x_t, t = torch.randn(2, 3, 8, 8), torch.tensor([7, 7])
    unet = UNet2DModel.from_pretrained(folder, subfolder="unet")
    with torch.no_grad():
        expected = unet(x_t, t).sample
    assert model.learned_variance and model.shape == (3, 8, 8) and model.denoiser.with_variance is not None
    assert (model.denoiser.network(x_t, t) - expected[:, :3]).abs().max() < 1e-5
    assert (model.denoiser.with_variance(x_t, t) - expected).abs().max() < 1e-5
    term = list(variational_bound(model.denoiser, torch.zeros(2, 3, 8, 8), variance="learned_range", rows=[30]))[1]
    assert torch.isfinite(term.nats).all()


def test_the_old_layout_with_all_files_at_the_top_loads(copy_of_tiny: Path) -> None:
    expected = load(copy_of_tiny).num_parameters
    for part in ("unet", "scheduler"):
        for path in (copy_of_tiny / part).iterdir():
            path.rename(copy_of_tiny / path.name)
        (copy_of_tiny / part).rmdir()
    assert load(copy_of_tiny).num_parameters == expected


def test_old_names_of_attention_weights_are_understood(new_pipeline: Callable[..., Path]) -> None:
    """Checkpoints of diffusers' first versions, such as google/ddpm-cifar10-32, name them query, key, value, proj_attn."""
    attention = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"), "attention_head_dim": None}
    folder = new_pipeline(**attention)
    x_t, t = torch.randn(1, 1, 8, 8), torch.tensor([3])
    expected = load(folder).denoiser.network(x_t, t)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(weights: dict[str, torch.Tensor]) -> None:
        for name in [name for name in weights if ".attentions." in name]:
            new = name
            for now, before in old.items():
                new = new.replace(f".{now}.", f".{before}.")
            weights[new] = weights.pop(name)

    edit_weights(folder, rename)
    os.utime(folder / "unet" / WEIGHTS, ns=(1, 1))
    assert ".query." in " ".join(load_file(folder / "unet" / WEIGHTS))
    assert torch.equal(load(folder).denoiser.network(x_t, t), expected)


def test_any_number_of_channels_loads(new_pipeline: Callable[..., Path]) -> None:
    """Only the page is limited to gray and RGB."""
    from ddpm_space.ui.model import ModelSlot

    folder = new_pipeline(in_channels=4, out_channels=4)
    assert load(folder).shape == (4, 8, 8)
    with pytest.raises(models.ModelError) as caught:
        ModelSlot(str(folder)).get()
    assert caught.value.key == "error.model.channels" and caught.value.values["found"] == 4


def test_a_model_stays_in_memory_until_its_files_change(copy_of_tiny: Path) -> None:
    first = load(copy_of_tiny)
    assert load(str(copy_of_tiny)) is first
    edit_weights(copy_of_tiny, lambda weights: weights["conv_out.bias"].add_(1))
    os.utime(copy_of_tiny / "unet" / WEIGHTS, ns=(1, 1))
    second = load(copy_of_tiny)
    x_t, t = torch.zeros(1, 1, 8, 8), torch.tensor([3])
    assert torch.allclose(second.denoiser.network(x_t, t), first.denoiser.network(x_t, t) + 1, atol=1e-5)


def test_threads_that_ask_together_get_one_model(copy_of_tiny: Path) -> None:
    found: list[LoadedModel] = []
    threads = [threading.Thread(target=lambda: found.append(load(copy_of_tiny))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len({id(model) for model in found}) == 1


def test_the_card_is_found(copy_of_tiny: Path) -> None:
    (copy_of_tiny / "README.md").write_text("# A model")
    assert load(copy_of_tiny).card_path == copy_of_tiny / "README.md"


@pytest.mark.parametrize("name", BUNDLED)
def test_the_bundled_models_load(name: str) -> None:
    model = load(f"bundled:{name}")
    assert model.card_path is not None and sum(path.stat().st_size for path in (BUNDLED_FOLDER / name).rglob("*") if path.is_file()) < 8_000_000


def test_sources_that_lead_nowhere(tmp_path: Path, refused_model: Callable) -> None:
    assert refused_model("error.model.unknown_bundled", "bundled:cats").values["known"] == ", ".join(BUNDLED)
    refused_model("error.model.not_found", tmp_path / "missing")
    refused_model("error.model.not_found", "word")
    for name in ("a/b/c", "~nobody-of-this-name/model", 300 * "x", "a\0b"):
        refused_model("error.model.not_found", name)
    file = tmp_path / "model.safetensors"
    file.touch()
    refused_model("error.model.not_found", file)
    assert refused_model("error.model.not_a_pipeline", tmp_path).values["missing"] == "model_index.json"


def test_a_link_that_leads_nowhere_is_a_file_that_is_missing(copy_of_tiny: Path, refused_model: Callable) -> None:
    weights = copy_of_tiny / "unet" / WEIGHTS
    weights.unlink()
    weights.symlink_to(copy_of_tiny / "gone")
    refused_model("error.model.no_weights", copy_of_tiny)


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_named(copy_of_tiny: Path, device: str, refused_model: Callable) -> None:
    assert refused_model("error.model.device", copy_of_tiny, device=device).values["device"] == device


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weights: weights.pop("conv_in.weight"), "conv_in.weight missing, 1 in all"),
        (lambda weights: weights.update(extra=torch.zeros(1)), "extra unknown, 1 in all"),
        (lambda weights: weights.update({"conv_in.weight": torch.zeros(8, 1, 5, 5)}), "conv_in.weight"),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_weights_that_do_not_fit_their_configuration_are_refused_model(
    copy_of_tiny: Path, change: Callable, reason: str, refused_model: Callable
) -> None:
    edit_weights(copy_of_tiny, change)
    assert reason in str(refused_model("error.model.weights_mismatch", copy_of_tiny))


def test_a_configuration_of_another_network_is_refused_model(copy_of_tiny: Path, refused_model: Callable, edit_json: Callable) -> None:
    edit_json(copy_of_tiny / "unet/config.json", block_out_channels=[16, 16])
    refused_model("error.model.weights_mismatch", copy_of_tiny)
    edit_json(copy_of_tiny / "unet/config.json", block_out_channels=[7, 7])
    refused_model("error.model.weights_mismatch", copy_of_tiny)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_model(copy_of_tiny: Path, value: float, refused_model: Callable) -> None:
    edit_weights(copy_of_tiny, lambda weights: weights["conv_out.weight"].view(-1)[5:6].fill_(value))
    assert refused_model("error.model.not_finite", copy_of_tiny).values["name"] == "conv_out.weight"


def test_a_size_that_the_layers_cannot_halve_or_no_memory_holds_is_refused_model(
    copy_of_tiny: Path, refused_model: Callable, edit_json: Callable
) -> None:
    edit_json(copy_of_tiny / "unet/config.json", sample_size=[8, 8])
    assert load(copy_of_tiny).shape == (1, 8, 8)
    for size in (7, 10_000_000):  # the second one would be 400 TB
        edit_json(copy_of_tiny / "unet/config.json", sample_size=size)
        refused_model("error.model.does_not_run", copy_of_tiny)


@pytest.mark.filterwarnings("ignore:beta")
@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "ScoreSdeVeScheduler"},
        {"beta_schedule": "spiral"},
        {"prediction_type": "flow"},
        {"num_train_timesteps": 0},
        {"_class_name": []},
        {"trained_betas": "many"},
        {"trained_betas": -1},
        {"trained_betas": [0.1, -0.2]},
    ],
    ids=str,
)
def test_schedulers_that_are_not_understood_are_refused_model(
    copy_of_tiny: Path, changes: dict[str, object], refused_model: Callable, edit_json: Callable
) -> None:
    edit_json(copy_of_tiny / "scheduler/scheduler_config.json", **changes)
    refused_model("error.model.scheduler", copy_of_tiny)


def test_importing_models_does_not_import_diffusers() -> None:
    heavy = "{'diffusers', 'huggingface_hub', 'safetensors'} & set(sys.modules)"
    script = f"import sys, ddpm_space.models, ddpm_space.sampling, ddpm_space.loss; sys.exit(bool({heavy}))"
    root = Path(models.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, timeout=600).returncode == 0
