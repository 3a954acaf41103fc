"""Shared by all tests: a Hugging Face home of their own, a tiny model folder, and a denoiser that is known exactly."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

# Read when huggingface_hub is imported: the tests use neither the user's token and cache nor the network.
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="ddpm_space_hf_")
os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1", HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_UPDATE_CHECK="1")
os.environ.pop("HF_TOKEN", None)
if "PYTEST_XDIST_WORKER" in os.environ:
    # Read when torch is imported. Workers share the cores: a team of threads in each would only wait for the other's.
    os.environ["OMP_NUM_THREADS"] = "1"

import pytest
import torch
from torch import Tensor

from ddpm_space.denoiser import Denoiser
from ddpm_space.schedule import NoiseSchedule

if TYPE_CHECKING:
    from ddpm_space.models import ModelError


def pytest_unconfigure() -> None:
    """Remove the tests' Hugging Face home."""
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _one_session_of_the_client() -> Iterator[None]:
    """A download that a test gave up goes on in its thread, and finds no server: the client then closes the session that the next test asks with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.utils._http.close_session", lambda: None)
        yield


@pytest.fixture
def schedule() -> NoiseSchedule:
    """A short schedule whose end is noise: 40 steps, alpha_bar_T = 1.5e-4."""
    return NoiseSchedule.linear(40, beta_start=1e-3, beta_end=0.4)


class Gaussian(NamedTuple):
    """Data whose pixels are N(mean, std^2), and its perfect eps-prediction E[eps | x_t], known in closed form."""

    mean: float
    std: float
    denoiser: Denoiser


@pytest.fixture(scope="session")
def gaussian_on() -> Callable[[NoiseSchedule], Gaussian]:
    """Gaussian data with its exact denoiser on a schedule of the test's choice."""
    mean, std = 0.1, 0.25

    def build(schedule: NoiseSchedule) -> Gaussian:
        def eps_given_x_t(x_t: Tensor, t: Tensor) -> Tensor:
            alpha_bar = schedule.alpha_bar[t].reshape(-1, 1, 1, 1).to(x_t.dtype)
            return (1 - alpha_bar).sqrt() * (x_t - alpha_bar.sqrt() * mean) / (alpha_bar * std**2 + 1 - alpha_bar)

        return Gaussian(mean, std, Denoiser(eps_given_x_t, "epsilon", schedule))

    return build


@pytest.fixture
def gaussian(gaussian_on: Callable[[NoiseSchedule], Gaussian], schedule: NoiseSchedule) -> Gaussian:
    """Gaussian data with its exact denoiser on the short `schedule`."""
    return gaussian_on(schedule)


def write_pipeline(folder: Path, *, seed: int = 0, prediction_type: str = "epsilon", **unet_options: object) -> Path:
    """Write a plain DDPMPipeline folder with a random 8 x 8 gray UNet of 10,000 parameters, as training writes it."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    options = {
        "sample_size": 8,
        "in_channels": 1,
        "out_channels": 1,
        "block_out_channels": (8, 8),
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "add_attention": False,
    }
    torch.manual_seed(seed)
    unet = UNet2DModel(**{**options, **unet_options})
    scheduler = DDPMScheduler(num_train_timesteps=50, beta_schedule="squaredcos_cap_v2", prediction_type=prediction_type)
    DDPMPipeline(unet, scheduler).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small but complete model folder; do not write into it."""
    return write_pipeline(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def copy_of_tiny(tiny_pipeline: Path, tmp_path: Path) -> Path:
    """A model folder to break."""
    return Path(shutil.copytree(tiny_pipeline, tmp_path / "tiny"))


@pytest.fixture
def new_pipeline(tmp_path: Path) -> Callable[..., Path]:
    """Write a model folder with other options of `write_pipeline`."""
    return lambda **options: write_pipeline(tmp_path / "pipeline", **options)


@pytest.fixture
def refused_model() -> Callable[..., ModelError]:
    """Load a source that must be refused with the error of a key, in one line, and return that error."""
    from ddpm_space.models import ModelError, load

    def refused(key: str, source: object, **options: Any) -> ModelError:
        with pytest.raises(ModelError) as caught:
            load(source, **options)
        assert caught.value.key == key, caught.value
        assert len(str(caught.value).splitlines()) == 1
        return caught.value

    return refused


@pytest.fixture
def edit_json() -> Callable[..., None]:
    """Change some entries of a JSON file."""

    def edit(path: Path, **changes: object) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return edit


@pytest.fixture(scope="session")
def live_app(tiny_pipeline: Path) -> Iterator[str]:
    """Address of the app, running in this process with the tiny model."""
    from ddpm_space.ui.launch import start
    from ddpm_space.ui.model import ModelSlot

    app = start(ModelSlot(str(tiny_pipeline)), quiet=True)
    yield app.local_url
    app.close()
