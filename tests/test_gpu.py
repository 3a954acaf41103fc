"""A run on ZeroGPU: in a process of its own, asked for what it needs, kept by who asked, refused in a sentence. The platform itself is a stub."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from test_app import asked_for

from ddpm_space.denoiser import Denoiser
from ddpm_space.errors import TextError
from ddpm_space.models import LoadedModel, load
from ddpm_space.sampling import Frame, SamplingSettings, sample
from ddpm_space.ui import gpu
from ddpm_space.ui import sampling as sampling_tab
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.labs import clipping
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.text import TEXT
from ddpm_space.ui.trajectory import Trajectory

ROOT = Path(__file__).resolve().parents[1]
STUB = Path(__file__).parent / "zero_gpu" / "spaces.py"
pytestmark = pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="ZeroGPU forks; this system does not")


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page as it is on ZeroGPU, whose GPU is this machine's CPU."""
    spec = spec_from_file_location("spaces", STUB)
    assert spec is not None and spec.loader is not None
    spaces = module_from_spec(spec)
    spec.loader.exec_module(spaces)
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr(gpu, "_on_gpu", gpu.lent(gpu._there))
    monkeypatch.setattr(gpu, "DEVICE", "cpu")
    return spaces


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As many threads here as in the other process: how a transposed convolution splits its sums depends on their number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_film_from_another_process_is_the_film_from_this_one(tiny_pipeline: Path, platform: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    slot, there, here = ModelSlot(str(tiny_pipeline)), Trajectory(), Trajectory()
    *_, film = sampling_tab.frames(slot, there, asked_for(steps=12, images=3))
    monkeypatch.setattr(gpu, "_on_gpu", None)
    list(sampling_tab.frames(slot, here, asked_for(steps=12, images=3)))
    assert film["done"] and film["finished"] and film["limit"] is None and there.finished
    assert len(there.frames) == 12 and len(platform.ASKED) == 1
    for one, other in zip(there.frames, here.frames):
        assert (one.t, one.s, one.variance_type) == (other.t, other.s, other.variance_type) and (one.noise is None) is (other.noise is None)
        assert one.x_prev.device.type == "cpu" and torch.equal(one.x_t, other.x_t) and torch.equal(one.x_prev, other.x_prev)
    assert sampling_tab.step_payload(there, 4, 2) == sampling_tab.step_payload(here, 4, 2)


@pytest.mark.usefixtures("one_thread")
def test_three_chains_from_another_process_are_those_from_this_one(
    tiny_pipeline: Path, platform: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked({"images": 2, "steps": "50", "variance": "fixed_small", "seed": 3})
    *_, there = clipping.run(ModelSlot(str(tiny_pipeline)), asked)
    monkeypatch.setattr(gpu, "_on_gpu", None)
    *_, here = clipping.run(ModelSlot(str(tiny_pipeline)), asked)
    assert there == here and there["done"] and len(platform.ASKED) == 1


def test_what_the_other_process_fills_stays_there(tiny_pipeline: Path, platform: ModuleType) -> None:
    """The naive ways, which the stub must not let through: a record filled over there, a tensor sent, a model sent as it is."""
    kept: list[int] = []
    model = load(tiny_pipeline)

    def filled(kept: list[int]) -> Iterator[int]:
        for index in range(3):
            kept.append(index)
            yield index

    assert list(platform.GPU(filled, duration=lambda *_: 1)(kept)) == [0, 1, 2] and kept == []

    def tensors() -> Iterator[torch.Tensor]:
        yield torch.zeros(2)

    with pytest.raises(Exception, match="PicklingError"):
        list(platform.GPU(tensors, duration=lambda *_: 1)())
    with pytest.raises(pickle.PicklingError, match="a tensor"):
        list(platform.GPU(filled, duration=lambda *_: 1)(model))


@dataclass(frozen=True)
class Place:
    """Where a story was told."""

    process: int
    device: str
    weights: str
    threads: int


def places(denoiser: Denoiser, shape: tuple[int, int, int], *, device: str) -> Iterator[Place]:
    yield Place(os.getpid(), device, str(next(denoiser.network.unet.parameters()).device), torch.get_num_threads())  # type: ignore[attr-defined]


def test_the_model_is_moved_over_there_and_stays_here(tiny_pipeline: Path, platform: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "DEVICE", "meta")
    model = load(tiny_pipeline)
    (there,) = gpu.steps(places, model, calls=1, batch=1)
    assert there.process != os.getpid() and (there.device, there.weights, there.threads) == ("meta", "meta", 1)
    monkeypatch.setattr(gpu, "_on_gpu", None)
    (here,) = gpu.steps(places, model, calls=1, batch=1)
    assert here.process == os.getpid() and (here.device, here.weights) == ("cpu", "cpu")


def test_a_model_that_learned_a_variance_is_sent_whole(new_pipeline: object, platform: ModuleType) -> None:
    model = load(new_pipeline(out_channels=2))  # type: ignore[operator]
    sent = pickle.loads(pickle.dumps(model.denoiser))
    assert sent.network.unet is sent.with_variance.unet, "one network, not two"
    x_t, t = torch.randn(2, 1, 8, 8), torch.tensor([3, 40])
    assert torch.equal(sent.network(x_t, t), model.denoiser.network(x_t, t)) and sent.network(x_t, t).shape == x_t.shape
    assert sent.with_variance(x_t, t).shape == (2, 2, 8, 8)
    frames = list(gpu.steps(sample, model, SamplingSettings(2, 5, num_train_timesteps=50), calls=5, batch=2))
    assert [frame.index for frame in frames] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("denied", "key"),
    [
        (
            ("ZeroGPU quota exceeded", "You have exceeded your free ZeroGPU quota (9s requested vs. 2s left). Try again in 1:02:03. "),
            "error.gpu.quota",
        ),
        (("ZeroGPU illegal duration", "The requested GPU duration (60s) is larger than the maximum allowed"), "error.gpu.quota"),
        (("ZeroGPU queue timeout", "No GPU was available after 60s"), "error.gpu.busy"),
        (("ZeroGPU worker error", "GPU task aborted"), "error.gpu.ended"),
    ],
)
def test_a_refusal_is_a_sentence_in_both_languages(tiny_pipeline: Path, platform: ModuleType, denied: tuple[str, str], key: str) -> None:
    platform.DENIED.append(denied)
    (payload,) = sampling_tab.frames(ModelSlot(str(tiny_pipeline)), Trajectory(), asked_for())
    assert payload == {"error": {"key": key, "values": {"reason": {"key": "reason.platform", "values": {}, "detail": denied[1]}}}}
    assert all("{reason}" in sentence for sentence in TEXT[key])


def broken(denoiser: Denoiser, shape: tuple[int, int, int], *, device: str) -> Iterator[Place]:
    yield from places(denoiser, shape, device=device)
    raise ZeroDivisionError


def exhausted(denoiser: Denoiser, shape: tuple[int, int, int], *, device: str) -> Iterator[Place]:
    yield from places(denoiser, shape, device=device)
    os._exit(1)


def test_mistakes_of_ours_and_of_the_machine_over_there_are_told_apart(tiny_pipeline: Path, platform: ModuleType) -> None:
    model = load(tiny_pipeline)
    with pytest.raises(TextError, match="from 1 to 50") as ours:
        list(gpu.steps(sample, model, SamplingSettings(1, 60, num_train_timesteps=60), calls=60, batch=1))
    assert type(ours.value).__name__ == "SettingsError"
    for story, reason in ((broken, "ZeroDivisionError"), (exhausted, "GPU task aborted")):
        with pytest.raises(gpu.GpuError, match=reason) as lost:
            list(gpu.steps(story, model, calls=1, batch=1))
        assert lost.value.key == "error.gpu.ended"


def slow(*arguments: Any, **options: Any) -> Iterator[Frame]:
    for frame in sample(*arguments, **options):
        yield frame
        time.sleep(0.1)


def test_when_the_time_is_over_the_film_is_what_there_is(tiny_pipeline: Path, platform: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "BEFORE_SECONDS", 6)
    monkeypatch.setattr(gpu, "seconds", lambda *_: 7)
    monkeypatch.setattr(sampling_tab, "sample", slow)
    kept = Trajectory()
    *_, film = sampling_tab.frames(ModelSlot(str(tiny_pipeline)), kept, asked_for(steps=50))
    assert film["done"] and film["limit"] == 7 and not film["finished"] and 0 < len(kept.frames) < 50


def endless(denoiser: Denoiser, shape: tuple[int, int, int], *, device: str) -> Iterator[Place]:
    while True:
        yield from places(denoiser, shape, device=device)


def test_a_stopped_run_gives_the_gpu_back(tiny_pipeline: Path, platform: ModuleType) -> None:
    running = gpu.steps(endless, load(tiny_pipeline), calls=1, batch=1)
    process = next(running).process
    running.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_what_is_asked_for_grows_with_the_run_up_to_a_limit(tiny_pipeline: Path) -> None:
    model, bundled = load(tiny_pipeline), load("bundled:mnist")
    asked = [gpu.seconds(bundled, calls, batch) for calls, batch in ((10, 1), (100, 16), (250, 27), (1000, 36))]
    assert asked == sorted(asked) and asked[0] < 10 and asked[1] < 15 and asked[-1] <= gpu.LONGEST
    assert all(isinstance(value, int) for value in asked) and gpu.seconds(model, 1, 1) > gpu.START_SECONDS
    huge = LoadedModel(**{**vars(bundled), "num_parameters": 50_000_000, "sample_size": 64})
    assert gpu.seconds(huge, 1000, 36) == gpu.LONGEST


def test_anywhere_else_nothing_is_decorated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu._on_gpu is None
    monkeypatch.setitem(sys.modules, "spaces", ModuleType("spaces"))
    monkeypatch.setenv("SPACES_ZERO_GPU", "false")
    assert gpu.lent(gpu._there) is None
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setitem(sys.modules, "spaces", None)
    assert gpu.lent(gpu._there) is None, "the variable alone, without the package"


def test_the_app_imports_the_platform_s_package_first_and_a_visitor_s_request_reaches_it(tiny_pipeline: Path, tmp_path: Path) -> None:
    script = f"""
import json, runpy, sys
runpy.run_path("app.py")
import spaces
from gradio_client import Client
from ddpm_space.ui import gpu
from ddpm_space.ui.launch import start
from ddpm_space.ui.model import ModelSlot
from huggingface_hub import constants
gpu.DEVICE = "cpu"
app = start(ModelSlot({str(tiny_pipeline)!r}), quiet=True)
client = Client(app.local_url, verbose=False)
_, settings = client.predict(3, 5, "fixed_small", "trailing", True, 4, api_name="/sample")
(seconds, request), = spaces.ASKED
spaces.DENIED.append(("ZeroGPU quota exceeded", "2s left"))
try:
    client.predict(3, 5, "fixed_small", "trailing", True, 4, api_name="/sample")
except Exception as error:
    refused = str(error)
print(json.dumps([[*sorted(spaces.BEFORE)], settings["num_steps"], seconds, "host" in request.headers, refused, constants.HF_HUB_DISABLE_TELEMETRY]))
app.close()
"""
    environment = {
        **{name: value for name, value in os.environ.items() if name != "HF_HUB_DISABLE_TELEMETRY"},
        **{"SPACES_ZERO_GPU": "true", "PYTHONPATH": str(STUB.parent), "GRADIO_TEMP_DIR": str(tmp_path), "HF_HUB_OFFLINE": "1"},
    }
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    before, steps, seconds, with_request, refused, quiet = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("[[")))
    assert before == [] and steps == 5 and 5 < seconds < 10 and with_request
    assert refused.startswith("Your share of the GPU is used up for now. Log in to Hugging Face for a larger one, or come back later.")
    assert "2s left" in refused
    assert quiet is True
