"""The full loop, each part in a process of its own: train, push, load in plain diffusers and sample, serve in the app; and the Space itself."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hub_cards
import numpy as np
import pytest
from gradio_client import Client
from hub_server import TOKENS, HubServer
from huggingface_hub import ModelCard
from PIL import Image
from safetensors.torch import load_file

from ddpm_space import models
from ddpm_space.images import to_uint8
from ddpm_space.sampling import SamplingSettings, sample
from training.push_space import push_space

ROOT = Path(__file__).resolve().parent.parent
MODEL = "alice/digits"
# About a minute of one core, which other work on the machine slows less than two that wait for each other; then figures from few images: what is
# proved is the way, not the model.
OPTIONS = {"config": "quick", "train_images": 6000, "cpu_threads": 1, "checkpoint_every": 0, "sample_images": 16, "sample_steps": 10}
OPTIONS |= {"eval_images": 8, "eval_terms": 12, "eval_samples": 80, "eval_steps": 10}

PLAIN = """
import hashlib, json, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("ddpm_space", "training"):
            raise ImportError(f"{name} is not for this process")

sys.meta_path.insert(0, Blocked())
import torch
from diffusers import DDPMPipeline, DDPMScheduler, DiffusionPipeline, UNet2DModel

def digest(unet):
    return hashlib.sha256(b"".join(value.numpy().tobytes() for _, value in sorted(unet.state_dict().items()))).hexdigest()

torch.set_num_threads(1)
pipeline = DDPMPipeline.from_pretrained(sys.argv[1], use_safetensors=True)
assert type(pipeline.scheduler) is DDPMScheduler and type(pipeline.unet) is UNet2DModel
assert type(DiffusionPipeline.from_pretrained(sys.argv[1])) is DDPMPipeline
raw = UNet2DModel.from_pretrained(sys.argv[1], subfolder="unet", variant="raw")
images = pipeline(batch_size=4, num_inference_steps=50, generator=torch.Generator().manual_seed(0), output_type="np").images
print(json.dumps({"main": digest(pipeline.unet), "raw": digest(raw), "shape": images.shape, "ink": float(images.mean())}))
"""


def run(command: list[str], cwd: Path, environment: dict[str, str], timeout: float = 600) -> str:
    """The output of a process that must end well, and that never says a token."""
    plain = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=plain, capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr
    assert not [token for token in TOKENS.values() if token in done.stdout + done.stderr]
    return done.stdout


def digest(file: Path) -> str:
    return hashlib.sha256(b"".join(value.numpy().tobytes() for _, value in sorted(load_file(file).items()))).hexdigest()


@contextmanager
def served(folder: Path, environment: dict[str, str], log: Path) -> Iterator[str]:
    """`python app.py` of a folder as a Space starts it, its output in `log`; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    plain = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
    address = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        app = subprocess.Popen(
            [sys.executable, "app.py"], cwd=folder, env={**plain, "GRADIO_SERVER_PORT": str(port)}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                assert app.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.3)
        yield address
    finally:
        app.terminate()
        app.wait(30)
        assert not [token for token in TOKENS.values() if token in log.read_text()]


def first_sample(address: str) -> tuple[np.ndarray, str]:
    """One image that the page's model draws in 10 steps with seed 3, and the model's name."""
    picture, settings = Client(address, verbose=False).predict(1, 10, "fixed_small", "trailing", True, 3, api_name="/sample")
    return np.array(Image.open(picture).convert("L"))[:28, :28], settings["model"]


def drawn(source: Path | str) -> np.ndarray:
    """The same image, computed here."""
    model = models.load(source)
    *_, last = sample(model.denoiser, model.shape, SamplingSettings(1, 10, "trailing", "fixed_small", True, 3, 1000))
    return to_uint8(last.x_prev[0])


@pytest.mark.proof
def test_trained_pushed_loaded_in_plain_diffusers_and_served(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with HubServer() as hub:
        launch = [sys.executable, "-m", "accelerate.commands.launch", "--num_processes=1", "--num_machines=1", "--mixed_precision=no"]
        options = {**OPTIONS, "output_dir": tmp_path / "run", "hub_model_id": MODEL}
        script = [str(ROOT / "training" / "train.py"), "--push_to_hub", *(f"--{name}={value}" for name, value in options.items())]
        environment = hub.environment(tmp_path / "trainer")
        run([*launch, *script], elsewhere, environment)

        repository, local = hub.repository(MODEL), tmp_path / "run" / "model"
        titles = [commit.title for commit in repository.commits.values()]
        assert len(titles) == 3 and titles[1].startswith("Training begins") and titles[2] == "6,016 images seen"
        files = repository.files()
        assert not [name for name in files if "optim" in name or name.endswith((".bin", ".pt", ".py"))]
        card = files["README.md"].decode()
        assert hub_cards.problems(card, "model") == ([], []) and "More Information Needed" not in card and str(tmp_path) not in card
        assert {result.metric_type for result in ModelCard(card).data.eval_results} == {"bits_per_dim", "frechet_distance"}
        assert "![16 samples of the model](samples.png)" in card and files["samples.png"].startswith(b"\x89PNG")
        assert str(tmp_path) not in "".join(files[name].decode() for name in files if name.endswith((".json", ".yaml")))

        # Another machine: no project, no token, an empty cache.
        told = json.loads(run([sys.executable, "-I", "-c", PLAIN, MODEL], elsewhere, hub.environment(tmp_path / "reader", None)).splitlines()[-1])
        weights = local / "unet" / "diffusion_pytorch_model.safetensors"
        assert told["main"] == digest(weights) and told["raw"] == digest(weights.with_name("diffusion_pytorch_model.raw.safetensors")) != told["main"]
        # White strokes on black: an eighth of a real digit is ink, half of noise would be.
        assert told["shape"] == [4, 28, 28, 1] and 0.05 < told["ink"] < 0.3

        source = f"{MODEL}@{repository.commit().sha}"
        with served(ROOT, {**hub.environment(tmp_path / "page", None), "DDPM_SPACE_MODEL": source}, tmp_path / "app.log") as address:
            image, name = first_sample(address)
        assert name == source and np.array_equal(image, drawn(local))


@pytest.mark.proof
def test_the_space_that_was_pushed_starts_from_an_empty_folder(tmp_path: Path) -> None:
    with HubServer() as hub:
        hub.add(MODEL, models.BUNDLED_FOLDER / "mnist")
        address = push_space("alice/page", model=MODEL, api=hub.api())
        assert address == f"{hub.url}/spaces/alice/page"
        space = hub.repository("alice/page", "space")
        for name, content in space.files().items():
            path = tmp_path / "space" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        variables = {key: str(variable["value"]) for key, variable in space.variables.items()}
        assert variables == {"DDPM_SPACE_MODEL": MODEL}
        for asked, more in ((MODEL, variables), ("bundled:mnist", {})):
            environment = {name: value for name, value in hub.environment(tmp_path / "home", None).items() if name != "DDPM_SPACE_MODEL"}
            with served(tmp_path / "space", {**environment, **more}, tmp_path / "app.log") as page:
                image, name = first_sample(page)
            assert name == asked and np.array_equal(image, drawn("bundled:mnist"))
