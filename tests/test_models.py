"""Loading models: what training writes loads, what is damaged, unsafe or of another kind is refused in one sentence, and nothing of it is run."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

from ddpm_space import models
from ddpm_space.models import BUNDLED, BUNDLED_FOLDER, MODEL_ERRORS, LoadedModel, ModelError, load
from ddpm_space.pipeline_folder import WEIGHTS
from ddpm_space.sampling import SamplingSettings, sample

SHA = "0123456789abcdef0123456789abcdef01234567"


def refused(key: str, source: object, **options: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(source, **options)
    assert caught.value.key == key, caught.value
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def edit_json(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


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


@pytest.mark.parametrize("prediction_type", ["sample", "v_prediction"])
def test_the_prediction_type_is_kept(new_pipeline: Callable[..., Path], prediction_type: str) -> None:
    model = load(new_pipeline(prediction_type=prediction_type))
    assert model.prediction_type == model.denoiser.prediction_type == prediction_type


def test_of_a_learned_variance_only_the_mean_is_used(new_pipeline: Callable[..., Path]) -> None:
    from diffusers import UNet2DModel

    folder = new_pipeline(in_channels=3, out_channels=6)
    model = load(folder)
    x_t, t = torch.randn(2, 3, 8, 8), torch.tensor([7, 7])
    unet = UNet2DModel.from_pretrained(folder, subfolder="unet")
    with torch.no_grad():
        expected = unet(x_t, t).sample[:, :3]
    assert model.learned_variance and model.shape == (3, 8, 8)
    assert (model.denoiser.network(x_t, t) - expected).abs().max() < 1e-5


def test_the_old_layout_with_all_files_at_the_top_loads(copy_of_tiny: Path) -> None:
    expected = load(copy_of_tiny).num_parameters
    for part in ("unet", "scheduler"):
        for path in (copy_of_tiny / part).iterdir():
            path.rename(copy_of_tiny / path.name)
        (copy_of_tiny / part).rmdir()
    assert load(copy_of_tiny).num_parameters == expected


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


def test_sources_that_lead_nowhere(tmp_path: Path) -> None:
    assert refused("error.model.unknown_bundled", "bundled:cats").values["known"] == ", ".join(BUNDLED)
    refused("error.model.not_found", tmp_path / "missing")
    refused("error.model.not_found", "word")
    refused("error.model.not_found", "a/b/c")
    file = tmp_path / "model.safetensors"
    file.touch()
    refused("error.model.not_found", file)
    assert refused("error.model.not_a_pipeline", tmp_path).values["missing"] == "model_index.json"


@pytest.mark.parametrize("missing", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
def test_a_missing_configuration_is_named(copy_of_tiny: Path, missing: str) -> None:
    (copy_of_tiny / missing).unlink()
    assert refused("error.model.not_a_pipeline", copy_of_tiny).values["missing"] == missing


@pytest.mark.parametrize("broken", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
@pytest.mark.parametrize("text", ["{", "[1, 2]", ""])
def test_a_damaged_configuration_is_named(copy_of_tiny: Path, broken: str, text: str) -> None:
    (copy_of_tiny / broken).write_text(text)
    assert refused("error.model.damaged", copy_of_tiny).values["file"] == Path(broken).name


@pytest.mark.parametrize("left", [0.99, 0.5, 0.001, 0])
def test_truncated_weights_are_refused(copy_of_tiny: Path, left: float) -> None:
    path = copy_of_tiny / "unet" / WEIGHTS
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * left)])
    assert refused("error.model.damaged", copy_of_tiny).values["file"] == WEIGHTS


def test_weights_with_a_nonsense_header_are_refused(copy_of_tiny: Path) -> None:
    path = copy_of_tiny / "unet" / WEIGHTS
    path.write_bytes(struct.pack("<Q", 2**60) + path.read_bytes()[8:])
    refused("error.model.damaged", copy_of_tiny)


def test_pickles_are_refused_and_never_opened(copy_of_tiny: Path) -> None:
    path = copy_of_tiny / "unet" / WEIGHTS
    trap = copy_of_tiny / "trapped"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(trap),)

    torch.save(Trap(), path.with_suffix(".bin"))
    path.unlink()
    refused("error.model.no_safetensors", copy_of_tiny)
    path.with_suffix(".bin").unlink()
    assert refused("error.model.no_weights", copy_of_tiny).values["missing"] == f"unet/{WEIGHTS}"
    torch.save(Trap(), path.with_suffix(".bin"))
    (copy_of_tiny / "unet" / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": {}}))
    refused("error.model.weights_mismatch", copy_of_tiny)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weights: weights.pop("conv_in.weight"), "conv_in.weight missing, 1 in all"),
        (lambda weights: weights.update(extra=torch.zeros(1)), "extra unknown, 1 in all"),
        (lambda weights: weights.update({"conv_in.weight": torch.zeros(8, 1, 5, 5)}), "conv_in.weight"),
    ],
    ids=["missing", "unknown", "shape"],
)
def test_weights_that_do_not_fit_their_configuration_are_refused(copy_of_tiny: Path, change: Callable, reason: str) -> None:
    edit_weights(copy_of_tiny, change)
    assert reason in refused("error.model.weights_mismatch", copy_of_tiny).values["reason"]


def test_a_configuration_of_another_network_is_refused(copy_of_tiny: Path) -> None:
    edit_json(copy_of_tiny / "unet/config.json", block_out_channels=[16, 16])
    refused("error.model.weights_mismatch", copy_of_tiny)
    edit_json(copy_of_tiny / "unet/config.json", block_out_channels=[7, 7])
    refused("error.model.weights_mismatch", copy_of_tiny)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(copy_of_tiny: Path, value: float) -> None:
    edit_weights(copy_of_tiny, lambda weights: weights["conv_out.weight"].view(-1)[5:6].fill_(value))
    assert refused("error.model.not_finite", copy_of_tiny).values["name"] == "conv_out.weight"


def test_other_architectures_are_refused(copy_of_tiny: Path) -> None:
    index = copy_of_tiny / "model_index.json"
    edit_json(copy_of_tiny / "unet/config.json", _class_name="UNet2DConditionModel")
    refused("error.model.architecture", copy_of_tiny)
    edit_json(index, unet=["diffusers", "UNet1DModel"])
    assert "UNet1DModel" in str(refused("error.model.architecture", copy_of_tiny))
    edit_json(index, unet=["diffusers", "UNet2DModel"], vae=["diffusers", "AutoencoderKL"])
    assert "vae" in str(refused("error.model.architecture", copy_of_tiny))
    edit_json(index, unet=None, vae=None)
    refused("error.model.architecture", copy_of_tiny)


def test_code_that_comes_with_a_model_is_refused_and_not_run(copy_of_tiny: Path) -> None:
    index, trap = copy_of_tiny / "model_index.json", copy_of_tiny / "trapped"
    (copy_of_tiny / "unet" / "own.py").write_text(f"import os\nos.mkdir({str(trap)!r})\nclass UNet2DModel: pass\n")
    edit_json(index, unet=["own", "UNet2DModel"])
    assert refused("error.model.remote_code", copy_of_tiny).values["found"] == "own.UNet2DModel"
    edit_json(index, unet=["diffusers", "UNet2DModel"], scheduler=["own", "Scheduler"])
    refused("error.model.remote_code", copy_of_tiny)
    edit_json(index, _class_name=["own", "Pipeline"], scheduler=["diffusers", "DDPMScheduler"])
    refused("error.model.remote_code", copy_of_tiny)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"in_channels": 4, "out_channels": 4}, "channels"),
        ({"out_channels": 3}, "channels"),
        ({"num_class_embeds": 10}, "class_conditional"),
        ({"class_embed_type": "timestep"}, "class_conditional"),
        ({"sample_size": None}, "size"),
        ({"sample_size": [8, 16]}, "size"),
        ({"sample_size": 0}, "size"),
        ({"sample_size": "8"}, "size"),
    ],
)
def test_networks_that_make_no_plain_square_images_are_refused(copy_of_tiny: Path, changes: dict[str, object], key: str) -> None:
    edit_json(copy_of_tiny / "unet/config.json", **changes)
    refused(f"error.model.{key}", copy_of_tiny)


def test_a_size_that_the_layers_cannot_halve_is_refused(copy_of_tiny: Path) -> None:
    edit_json(copy_of_tiny / "unet/config.json", sample_size=[8, 8])
    assert load(copy_of_tiny).shape == (1, 8, 8)
    edit_json(copy_of_tiny / "unet/config.json", sample_size=7)
    refused("error.model.does_not_run", copy_of_tiny)


@pytest.mark.filterwarnings("ignore:beta")
@pytest.mark.parametrize(
    "changes",
    [
        {"_class_name": "ScoreSdeVeScheduler"},
        {"beta_schedule": "spiral"},
        {"prediction_type": "flow"},
        {"num_train_timesteps": 0},
        {"trained_betas": "many"},
        {"trained_betas": [0.1, -0.2]},
    ],
    ids=str,
)
def test_schedulers_that_are_not_understood_are_refused(copy_of_tiny: Path, changes: dict[str, object]) -> None:
    edit_json(copy_of_tiny / "scheduler/scheduler_config.json", **changes)
    refused("error.model.scheduler", copy_of_tiny)


def test_error_texts_name_their_values() -> None:
    for key, template in MODEL_ERRORS.items():
        values = {name: 7 for name in re.findall(r"{(\w+)", template)}
        assert str(ModelError(key, **values)).count("7") >= len(values)


def test_importing_models_does_not_import_diffusers() -> None:
    heavy = "{'diffusers', 'huggingface_hub', 'safetensors'} & set(sys.modules)"
    script = f"import sys, ddpm_space.models, ddpm_space.sampling, ddpm_space.loss; sys.exit(bool({heavy}))"
    root = Path(models.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, timeout=120).returncode == 0


@contextmanager
def hub_of(folder: Path, repo: str = "someone/digits") -> Iterator[tuple[HfApi, list[str]]]:
    """Serve one model repository at one commit as the Hub does, on this machine; yields a client and the paths it asked for."""
    asked: list[str] = []
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in {"X-Repo-Commit": SHA, "Content-Length": str(len(body)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            asked.append(path)
            if path.startswith(f"/api/models/{repo}/tree/"):
                listing = [{"type": "file", "path": name, "size": file.stat().st_size, "oid": "0" * 40} for name, file in files.items()]
                self.answer(200, json.dumps(listing).encode(), Content_Type="application/json")
            elif path in (f"/api/models/{repo}", f"/api/models/{repo}/revision/main", f"/api/models/{repo}/revision/{SHA}"):
                siblings = [{"rfilename": name, "size": file.stat().st_size} for name, file in files.items()]
                self.answer(200, json.dumps({"id": repo, "sha": SHA, "siblings": siblings}).encode(), Content_Type="application/json")
            elif path.startswith(f"/{repo}/resolve/{SHA}/") and (name := path.split(f"{SHA}/")[1]) in files:
                self.answer(200, files[name].read_bytes(), ETag=f'"{hash(files[name].read_bytes()):x}"')
            else:
                self.answer(404, X_Error_Code="RevisionNotFound" if f"/{repo}/revision" in path else "RepoNotFound")

        do_HEAD = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield HfApi(endpoint=f"http://127.0.0.1:{server.server_port}"), asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub cache of one test's own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_hub_model_is_downloaded_once_and_serves_without_the_hub(copy_of_tiny: Path, own_cache: Path) -> None:
    for name in ("unet/diffusion_pytorch_model.bin", "own.py", "samples.png", "unet/notes.txt"):
        (copy_of_tiny / name).write_bytes(b"not to be fetched")
    with hub_of(copy_of_tiny) as (hub, asked):
        model = load("someone/digits", hub=hub)
        assert model.revision == SHA and model.source == "someone/digits" and model.shape == (1, 8, 8)
        assert not [path for path in asked if path.endswith((".bin", ".py", ".png", ".txt"))]
        asked.clear()
        assert load(f"someone/digits@{SHA}", hub=hub).revision == SHA
        assert asked == []
    assert load("someone/digits", hub=hub).revision == SHA
    x_t, t = torch.randn(1, 1, 8, 8), torch.tensor([9])
    assert torch.equal(model.denoiser.network(x_t, t), load(copy_of_tiny).denoiser.network(x_t, t))


def test_what_the_hub_does_not_have(copy_of_tiny: Path, own_cache: Path) -> None:
    with hub_of(copy_of_tiny) as (hub, _):
        assert refused("error.model.hub_missing", "someone/letters", hub=hub).values["repo"] == "someone/letters"
        assert refused("error.model.hub_missing", "someone/digits@v9", hub=hub).values["repo"] == "someone/digits@v9"
        refused("error.model.hub_missing", "some..one/-digits", hub=hub)


def test_a_repository_is_refused_before_it_is_downloaded(copy_of_tiny: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpm_space import hub as hub_module

    with hub_of(copy_of_tiny) as (hub, asked):
        monkeypatch.setattr(hub_module, "MAX_MEGABYTES", 0)
        refused("error.model.too_large", "someone/digits", hub=hub)
        assert len(asked) == 1
    (copy_of_tiny / "unet" / WEIGHTS).rename(copy_of_tiny / "unet" / "diffusion_pytorch_model.bin")
    with hub_of(copy_of_tiny) as (hub, asked):
        refused("error.model.no_safetensors", "someone/digits", hub=hub)
        assert len(asked) == 1


def test_without_network_and_copy_the_error_says_so(own_cache: Path) -> None:
    nobody = HfApi(endpoint="http://127.0.0.1:9")
    refused("error.model.offline", "someone/digits", hub=nobody)
    refused("error.model.offline", f"someone/digits@{SHA}", hub=nobody)


def test_a_hub_that_never_answers_is_given_up(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpm_space import hub as hub_module

    monkeypatch.setattr(hub_module, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.perf_counter()
        refused("error.model.offline", "someone/digits", hub=HfApi(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.perf_counter() - began < 5
