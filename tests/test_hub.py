"""Models from the Hub: only what is read is fetched, every file is checked, and what the Hub refuses is said with its fix."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file

from ddpm_space import hub as hub_module
from ddpm_space.models import LoadedModel, load
from ddpm_space.pipeline_folder import WEIGHTS
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.sampling import describe

REPO = "alice/digits"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hub cache of one test's own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    """A Hub without any repository."""
    with HubServer() as server:
        yield server


def same(model: LoadedModel, other: LoadedModel) -> bool:
    x_t, t = torch.randn(1, *model.shape), torch.tensor([9])
    return torch.equal(model.denoiser.network(x_t, t), other.denoiser.network(x_t, t))


def flatten(folder: Path) -> Path:
    """Turn a model folder into the older layout with all files at the top."""
    for part in ("unet", "scheduler"):
        for path in (folder / part).iterdir():
            path.rename(folder / path.name)
        (folder / part).rmdir()
    return folder


def test_a_model_is_downloaded_once_and_serves_without_the_hub(hub: HubServer, copy_of_tiny: Path) -> None:
    for name in ("unet/diffusion_pytorch_model.bin", "own.py", "samples.png", "unet/notes.txt", "unet/diffusion_pytorch_model.raw.safetensors"):
        (copy_of_tiny / name).write_bytes(b"not to be fetched")
    commit = hub.add(REPO, copy_of_tiny)
    model = load(REPO, hub=hub.api())
    assert model.revision == commit and model.source == REPO and model.shape == (1, 8, 8) and model.note is None
    assert same(model, load(copy_of_tiny))
    fetched = hub.asked("^GET (/lfs/|.*/resolve/)")
    assert len(fetched) == 4 and len(hub.asked("^GET /lfs/")) == 1, fetched
    assert all("authorization" not in request.headers for request in hub.requests if request.path.startswith("/lfs/"))
    hub.requests.clear()
    assert load(f"{REPO}@{commit}", hub=hub.api()).revision == commit
    assert hub.asked() == [], "a pinned commit that is here needs no Hub"
    assert load(REPO, hub=hub.api()).note is None and not hub.asked("GET .*(/lfs/|/resolve/)")


def test_without_the_hub_the_copy_serves_and_says_so(copy_of_tiny: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    with HubServer() as hub:
        first = hub.add(REPO, copy_of_tiny)
        api = hub.api()
        model = load(REPO, hub=api)
    again = load(REPO, hub=api)
    assert again.revision == first and same(again, model)
    assert again.note is not None and again.note.key == "error.model.old_copy" and again.note.values["commit"] == first[:10]
    assert again.note.values["reason"].key == "reason.refused" and str(again.note) in caplog.text
    assert load(f"{REPO}@{first}", hub=api).note is None
    hub.become_default(monkeypatch)
    shown = describe(ModelSlot(REPO))["note"]
    assert shown["key"] == "error.model.old_copy" and shown["values"]["commit"] == first[:10]
    assert shown["values"]["reason"]["key"] == "reason.refused", "the page says it in the visitor's language"


def test_an_update_that_does_not_arrive_leaves_the_older_copy(hub: HubServer, copy_of_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PAUSES", ())
    first = hub.add(REPO, copy_of_tiny)
    old = load(REPO, hub=hub.api())
    weights = load_file(copy_of_tiny / "unet" / WEIGHTS)
    save_file({name: 2 * weight for name, weight in weights.items()}, copy_of_tiny / "unet" / WEIGHTS)
    second = hub.add(REPO, copy_of_tiny)
    hub.fault(path="/lfs/", status=500)
    kept = load(REPO, hub=hub.api())
    assert kept.revision == first and same(kept, old) and kept.note is not None and "fault of the server" in kept.note.values["reason"].detail
    new = load(REPO, hub=hub.api())
    assert new.revision == second and new.note is None and not same(new, old)


def test_branches_tags_and_pull_requests_are_revisions(hub: HubServer, copy_of_tiny: Path, refused_model: Callable) -> None:
    api = hub.api()
    first = hub.add(REPO, copy_of_tiny)
    api.create_tag(REPO, tag="v1")
    api.create_branch(REPO, branch="feat/x")
    opened = hub.api("other").upload_file(path_or_fileobj=b"---\nlicense: mit\n---\n", path_in_repo="README.md", repo_id=REPO, create_pr=True)
    hub.add(REPO, {"README.md": b"emptied"})
    for revision, commit in (("v1", first), ("feat/x", first), ("refs/pr/1", opened.oid), (first, first)):
        assert load(f"{REPO}@{revision}", hub=api).revision == commit
    assert refused_model("error.model.not_a_pipeline", REPO, hub=api).values["missing"] == "model_index.json"
    error = refused_model("error.model.revision", f"{REPO}@v9", hub=api)
    assert error.values == {"repo": REPO, "revision": "v9", "known": "main, feat/x, v1"}


def test_who_is_let_in(hub: HubServer, copy_of_tiny: Path, refused_model: Callable) -> None:
    hub.add("alice/secret", copy_of_tiny, private=True)
    hub.add("alice/gated", copy_of_tiny, gated=True)
    hub.add("alice/open", copy_of_tiny)
    for name in ("alice/letters", "alice/secret", "some..one/-digits"):
        assert refused_model("error.model.hub_missing", name, hub=hub.api(None)).values["repo"] == name
    refused_model("error.model.hub_missing", "alice/secret", hub=hub.api("other"))
    for token in (None, "other"):
        assert refused_model("error.model.gated", "alice/gated", hub=hub.api(token)).values["url"] == f"{hub.url}/alice/gated"
    assert not hub.asked("/lfs/")
    error = refused_model("error.model.token", "alice/open", hub=hub.api("wrong"))
    assert "Invalid credentials" in str(error) and "hf_" not in str(error)
    for token in ("hf_alice\u200bmaywrite", "hf_alice\x0bmaywrite"):
        error = refused_model("error.model.token", "alice/open", hub=HfApi(endpoint=hub.url, token=token))
        assert "a character that no token has" in str(error) and "maywrite" not in str(error)
    hub.repository("alice/gated").allowed.add("bob")
    for name, token in (("alice/open", None), ("alice/secret", "read"), ("alice/gated", "other")):
        assert load(name, hub=hub.api(token)).source == name
    refused_model("error.model.token", "alice/open", hub=hub.api("wrong"))


def test_what_cannot_be_used_is_refused_before_its_weights_are_fetched(
    hub: HubServer, copy_of_tiny: Path, monkeypatch: pytest.MonkeyPatch, refused_model: Callable, edit_json: Callable
) -> None:
    def refused(key: str, requests: int) -> None:
        hub.add(REPO, copy_of_tiny)
        hub.requests.clear()
        refused_model(key, REPO, hub=hub.api())
        assert not hub.asked("/lfs/") and len(hub.asked()) <= requests

    monkeypatch.setattr(hub_module, "MAX_MEGABYTES", 0.01)
    refused("error.model.too_large", 9)
    hub.lists_hashes = False
    refused("error.model.too_large", 15)
    hub.lists_hashes = True
    monkeypatch.setattr(hub_module, "MAX_MEGABYTES_BESIDE", 0.001)
    refused("error.model.too_large", 1)
    monkeypatch.setattr(hub_module, "MAX_MEGABYTES_BESIDE", 20)
    edit_json(copy_of_tiny / "unet/config.json", num_class_embeds=10)
    refused("error.model.class_conditional", 9)
    edit_json(copy_of_tiny / "model_index.json", unet=["diffusers", "UNet2DConditionModel"], vae=["diffusers", "AutoencoderKL"])
    refused("error.model.architecture", 9)
    edit_json(copy_of_tiny / "model_index.json", unet=["own", "UNet2DModel"])
    refused("error.model.remote_code", 9)
    (copy_of_tiny / "unet" / WEIGHTS).unlink()
    refused("error.model.no_weights", 1)
    (copy_of_tiny / "model_index.json").unlink()
    refused("error.model.not_a_pipeline", 1)


def test_the_old_layout_loads_where_it_has_safetensors_and_is_named_where_it_has_pickles(
    hub: HubServer, copy_of_tiny: Path, refused_model: Callable
) -> None:
    expected = load(copy_of_tiny)
    flat = flatten(Path(shutil.copytree(copy_of_tiny, copy_of_tiny.parent / "flat")))
    hub.add("google/ddpm-with-safetensors", flat)
    assert same(load("google/ddpm-with-safetensors", hub=hub.api()), expected)
    (flat / WEIGHTS).rename(flat / "diffusion_pytorch_model.bin")
    hub.add("google/ddpm-cifar10-32", flat)
    hub.requests.clear()
    error = refused_model("error.model.no_safetensors", "google/ddpm-cifar10-32", hub=hub.api())
    assert error.values["file"] == "diffusion_pytorch_model.bin" and len(hub.asked()) == 1


def test_weights_in_pieces_load(hub: HubServer, copy_of_tiny: Path) -> None:
    from diffusers import UNet2DModel

    expected = load(copy_of_tiny)
    unet = UNet2DModel.from_pretrained(copy_of_tiny, subfolder="unet")
    (copy_of_tiny / "unet" / WEIGHTS).unlink()
    unet.save_pretrained(copy_of_tiny / "unet", max_shard_size="20KB")
    pieces = set(json.loads((copy_of_tiny / "unet" / f"{WEIGHTS}.index.json").read_text())["weight_map"].values())
    hub.add(REPO, copy_of_tiny)
    assert len(pieces) > 1 and same(load(REPO, hub=hub.api()), expected)


def test_threads_that_ask_together_get_the_same_files(hub: HubServer, copy_of_tiny: Path) -> None:
    hub.add(REPO, copy_of_tiny)
    found: list[LoadedModel] = []
    threads = [threading.Thread(target=lambda: found.append(load(REPO, hub=hub.api()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len({id(model) for model in found}) == 1


def test_without_network_and_copy_the_error_says_so(refused_model: Callable) -> None:
    nobody = HfApi(endpoint="http://127.0.0.1:9")
    refused_model("error.model.offline", REPO, hub=nobody)
    refused_model("error.model.offline", f"{REPO}@{'0' * 40}", hub=nobody)


def test_a_cache_that_cannot_be_written_is_named(
    hub: HubServer, copy_of_tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused_model: Callable
) -> None:
    from huggingface_hub import constants

    (tmp_path / "file").touch()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    hub.add(REPO, copy_of_tiny)
    assert refused_model("error.model.cache", REPO, hub=hub.api()).values["folder"] == str(tmp_path / "file" / "hub")
