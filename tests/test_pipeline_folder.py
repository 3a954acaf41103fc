"""A model folder that is damaged, unsafe or of another kind is refused in one sentence, and nothing in it is run."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ddpm_space.models import load
from ddpm_space.pipeline_folder import MODEL_ERRORS, WEIGHTS, ModelError, wanted


@pytest.mark.parametrize("missing", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
def test_a_missing_configuration_is_named(copy_of_tiny: Path, missing: str, refused_model: Callable) -> None:
    (copy_of_tiny / missing).unlink()
    assert refused_model("error.model.not_a_pipeline", copy_of_tiny).values["missing"] == missing


@pytest.mark.parametrize("broken", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("text", ["{", "[1, 2]", "", "[" * 100_000], ids=["open", "list", "empty", "deep"])
def test_a_damaged_configuration_is_named(copy_of_tiny: Path, broken: str, text: str, refused_model: Callable) -> None:
    (copy_of_tiny / broken).write_text(text)
    assert refused_model("error.model.damaged", copy_of_tiny).values["file"] == Path(broken).name


@pytest.mark.parametrize("left", [0.99, 0.5, 0.001, 0])
def test_truncated_weights_are_refused_model(copy_of_tiny: Path, left: float, refused_model: Callable) -> None:
    path = copy_of_tiny / "unet" / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * left)])
    assert refused_model("error.model.damaged", copy_of_tiny).values["file"] == WEIGHTS


def test_weights_with_a_nonsense_header_are_refused_model(copy_of_tiny: Path, refused_model: Callable) -> None:
    path = copy_of_tiny / "unet" / WEIGHTS
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])
    refused_model("error.model.damaged", copy_of_tiny)


def test_pickles_are_refused_and_never_opened(copy_of_tiny: Path, refused_model: Callable) -> None:
    path = copy_of_tiny / "unet" / WEIGHTS
    trap = copy_of_tiny / "trapped"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(trap),)

    torch.save(Trap(), path.with_suffix(".bin"))
    path.unlink()
    assert refused_model("error.model.no_safetensors", copy_of_tiny).values["file"] == f"unet/{path.with_suffix('.bin').name}"
    path.with_suffix(".bin").unlink()
    assert refused_model("error.model.no_weights", copy_of_tiny).values["missing"] == f"unet/{WEIGHTS}"
    torch.save(Trap(), path.with_suffix(".bin"))
    index = copy_of_tiny / "unet" / f"{WEIGHTS}.index.json"
    for named in ("diffusion_pytorch_model.bin", "../diffusion_pytorch_model-00001-of-00001.safetensors", "/etc/passwd", None):
        index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": named} if named else {}}))
        assert refused_model("error.model.damaged", copy_of_tiny).values["file"] == index.name
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"conv_in.weight": "diffusion_pytorch_model-00001-of-00001.safetensors"}}))
    assert "00001-of-00001" in refused_model("error.model.no_weights", copy_of_tiny).values["missing"]
    assert not trap.exists()


def test_a_damaged_variant_is_nobodys_business(copy_of_tiny: Path) -> None:
    (copy_of_tiny / "unet" / "diffusion_pytorch_model.raw.safetensors").write_bytes(b"cut short")
    assert load(copy_of_tiny).num_parameters > 0


def test_what_is_downloaded_of_a_listing() -> None:
    """The UNet's own layout decides where the weights are taken from; variants, pickles, code and pictures stay behind."""
    piece = "diffusion_pytorch_model-00001-of-00002.safetensors"
    variants = {"unet/diffusion_pytorch_model.raw.safetensors", "unet/diffusion_pytorch_model-00001-of-00002.fp16.safetensors", "unet/own.py"}
    top = {"model_index.json", "README.md", "config.json", WEIGHTS, "samples.png", "diffusion_pytorch_model.bin"}
    assert wanted(top) == ["README.md", "model_index.json", "config.json", WEIGHTS]
    found = wanted({*top, *variants, "unet/config.json", f"unet/{piece}", f"unet/{WEIGHTS}.index.json"})
    assert found == ["README.md", "model_index.json", "config.json", "unet/config.json", f"unet/{WEIGHTS}.index.json", f"unet/{piece}"]


def test_other_architectures_are_refused_model(copy_of_tiny: Path, refused_model: Callable, edit_json: Callable) -> None:
    index = copy_of_tiny / "model_index.json"
    edit_json(copy_of_tiny / "unet/config.json", _class_name="UNet2DConditionModel")
    refused_model("error.model.architecture", copy_of_tiny)
    edit_json(index, unet=["diffusers", "UNet1DModel"])
    assert "UNet1DModel" in str(refused_model("error.model.architecture", copy_of_tiny))
    edit_json(index, unet=["diffusers", "UNet2DModel"], vae=["diffusers", "AutoencoderKL"])
    assert "vae" in str(refused_model("error.model.architecture", copy_of_tiny))
    edit_json(index, unet=None, vae=None)
    refused_model("error.model.architecture", copy_of_tiny)


def test_code_that_comes_with_a_model_is_refused_and_not_run(copy_of_tiny: Path, refused_model: Callable, edit_json: Callable) -> None:
    index, trap = copy_of_tiny / "model_index.json", copy_of_tiny / "trapped"
    (copy_of_tiny / "unet" / "own.py").write_text(f"import os\nos.mkdir({str(trap)!r})\nclass UNet2DModel: pass\n")
    edit_json(index, unet=["own", "UNet2DModel"])
    assert refused_model("error.model.remote_code", copy_of_tiny).values["found"] == "own.UNet2DModel"
    edit_json(index, unet=["diffusers", "UNet2DModel"], scheduler=["own", "Scheduler"])
    refused_model("error.model.remote_code", copy_of_tiny)
    edit_json(index, _class_name=["own", "Pipeline"], scheduler=["diffusers", "DDPMScheduler"])
    refused_model("error.model.remote_code", copy_of_tiny)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"out_channels": 3}, "outputs"),
        ({"in_channels": 0, "out_channels": 0}, "outputs"),
        ({"in_channels": "1"}, "outputs"),
        ({"num_class_embeds": 10}, "class_conditional"),
        ({"class_embed_type": "timestep"}, "class_conditional"),
        ({"sample_size": None}, "size"),
        ({"sample_size": [8, 16]}, "size"),
        ({"sample_size": 0}, "size"),
        ({"sample_size": "8"}, "size"),
    ],
)
def test_networks_that_make_no_plain_square_images_are_refused_model(
    copy_of_tiny: Path, changes: dict[str, object], key: str, refused_model: Callable, edit_json: Callable
) -> None:
    edit_json(copy_of_tiny / "unet/config.json", **changes)
    refused_model(f"error.model.{key}", copy_of_tiny)


def test_error_texts_name_their_values() -> None:
    for key, template in MODEL_ERRORS.items():
        values = {name: 7 for name in re.findall(r"{(\w+)", template)}
        assert str(ModelError(key, **values)).count("7") >= len(values)
