"""Models that visitors name: within limits, with no secret of the owner's, and with nothing of this machine in reach."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hub_server import TOKENS, HubServer

from ddpm_space.pipeline_folder import ModelError
from ddpm_space.ui import visitor_models
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.model import Models, ModelSlot
from ddpm_space.ui.visitor_models import VisitorError, VisitorModels, allowed, megabytes

REPO = "alice/digits"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """The Hub of this process, whose owner has a token and a cache with a private model in it."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "owner"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with HubServer() as server:
        server.become_default(monkeypatch, "write")
        yield server


@pytest.fixture
def visitors() -> VisitorModels:
    return VisitorModels(hub_allowed=True)


def refused(visitors: VisitorModels, name: str, key: str) -> str:
    with pytest.raises((VisitorError, ModelError)) as caught:
        visitors.get(name)
    assert caught.value.key == key, caught.value
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_public_model_loads_without_the_owner_s_token_and_leaves_no_file(
    hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path, tmp_path: Path
) -> None:
    commit = hub.add(REPO, copy_of_tiny)
    model = visitors.get(REPO)
    assert (model.source, model.revision, model.shape, model.card_path) == (REPO, commit, (1, 8, 8), None)
    assert torch.isfinite(model.denoiser.network(torch.zeros(1, 1, 8, 8), torch.tensor([3]))).all()
    assert hub.requests and all("authorization" not in request.headers for request in hub.requests)
    assert os.environ["HF_TOKEN"] == TOKENS["write"], "the owner does have one"
    assert list((tmp_path / "temporary").iterdir()) == [] and not (tmp_path / "owner").exists()
    asked = len(hub.requests)
    assert visitors.get(REPO) is model and len(hub.requests) == asked, "the second visitor does not fetch it again"
    assert visitors.get(f"{REPO}@{commit}").revision == commit


def test_private_gated_and_missing_are_one_sentence(hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path) -> None:
    hub.add("alice/secret", copy_of_tiny, private=True)
    hub.add("alice/gated", copy_of_tiny, gated=True)
    for name in ("alice/secret", "alice/gated", "alice/nothing"):
        sentence = refused(visitors, name, "error.visitor.missing")
        assert name in sentence and "HF_TOKEN" not in sentence


def test_the_owner_s_private_copy_is_not_the_visitors(hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path) -> None:
    from ddpm_space import models

    commit = hub.add("alice/secret", copy_of_tiny, private=True)
    assert models.load("alice/secret").revision == commit
    refused(visitors, "alice/secret", "error.visitor.missing")
    refused(visitors, f"alice/secret@{commit}", "error.visitor.missing")


def test_pickles_class_labels_and_other_architectures_are_refused(
    hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path, edit_json: Callable
) -> None:
    pickled = Path(shutil.copytree(copy_of_tiny, copy_of_tiny.parent / "pickled"))
    (pickled / "unet/diffusion_pytorch_model.safetensors").rename(pickled / "unet/diffusion_pytorch_model.bin")
    hub.add("alice/pickled", pickled)
    refused(visitors, "alice/pickled", "error.model.no_safetensors")
    edit_json(copy_of_tiny / "unet/config.json", num_class_embeds=10)
    hub.add("alice/classes", copy_of_tiny)
    refused(visitors, "alice/classes", "error.model.class_conditional")
    assert not hub.asked("safetensors"), "neither came as far as the weights"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"sample_size": 128}, "error.visitor.side"),
        ({"layers_per_block": 10**9}, "error.visitor.config"),
        ({"block_out_channels": [8] * 50}, "error.visitor.config"),
        ({"block_out_channels": [40_000, 40_000], "norm_num_groups": 4}, "error.visitor.too_large"),
    ],
)
def test_what_a_configuration_asks_for_is_bounded_before_it_is_made(
    hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path, edit_json: Callable, changes: dict, key: str
) -> None:
    edit_json(copy_of_tiny / "unet/config.json", **changes)
    hub.add(REPO, copy_of_tiny)
    begin = time.monotonic()
    refused(visitors, REPO, key)
    assert time.monotonic() - begin < 20


def test_a_chain_that_is_too_long_is_refused(hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path, edit_json: Callable) -> None:
    edit_json(copy_of_tiny / "scheduler/scheduler_config.json", num_train_timesteps=10**9)
    hub.add(REPO, copy_of_tiny)
    refused(visitors, REPO, "error.visitor.config")


def test_the_size_limit_is_said_before_anything_large_is_fetched(
    hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, copy_of_tiny)
    monkeypatch.setattr(visitor_models, "MAX_MEGABYTES", 0.01)
    assert "at most 0.01 MB" in refused(visitors, REPO, "error.visitor.too_large")
    assert not hub.asked("safetensors")


def test_no_word_of_a_visitor_reaches_a_folder_of_this_machine(visitors: VisitorModels, copy_of_tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy_of_tiny.parent.parent)
    inside = f"{copy_of_tiny.parent.name}/{copy_of_tiny.name}"
    assert Path(inside).is_dir()
    monkeypatch.setattr(visitor_models, "fetch", lambda name: pytest.fail(f"asked the Hub for {name}"))
    for name in (str(copy_of_tiny), f"./{inside}", "../..", "~/models", "alice/digits/more", "a" * 300 + "/b"):
        refused(visitors, name, "error.visitor.name")


def test_a_folder_that_looks_like_a_hub_id_is_not_opened(
    hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_of_tiny.parent.parent)
    refused(visitors, f"{copy_of_tiny.parent.name}/{copy_of_tiny.name}", "error.visitor.missing")


def test_the_owner_can_switch_it_off(hub: HubServer, copy_of_tiny: Path) -> None:
    hub.add(REPO, copy_of_tiny)
    visitors = VisitorModels(allowed({"DDPM_SPACE_VISITOR_MODELS": "off"}))
    refused(visitors, REPO, "error.visitor.off")
    assert hub.requests == []
    assert visitors.get("bundled:mnist").channels == 1
    assert allowed({}) and allowed({"DDPM_SPACE_VISITOR_MODELS": "on"}) and allowed({"DDPM_SPACE_VISITOR_MODELS": ""})
    with pytest.raises(ValueError, match="on, off"):
        allowed({"DDPM_SPACE_VISITOR_MODELS": "no"})


def test_only_so_much_stays_in_memory_and_the_oldest_goes(
    hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        hub.add(f"alice/{name}", copy_of_tiny)
    one = megabytes(visitors.get("alice/a"))
    monkeypatch.setattr(visitor_models, "MEMORY_MEGABYTES", 2.5 * one)
    visitors.get("alice/b")
    visitors.get("alice/a")
    visitors.get("alice/c")
    asked = len(hub.requests)
    visitors.get("alice/a")
    assert len(hub.requests) == asked, "a was asked for after b"
    visitors.get("alice/b")
    assert len(hub.requests) > asked
    gc.collect()
    monkeypatch.setattr(visitor_models, "MEMORY_MEGABYTES", one / 2)
    hub.add("alice/d", copy_of_tiny)
    refused(visitors, "alice/d", "error.visitor.too_large")


def test_a_slow_model_is_asked_for_again_and_few_are_fetched_at_once(visitors: VisitorModels, monkeypatch: pytest.MonkeyPatch) -> None:
    go, real = threading.Event(), ModelSlot("bundled:mnist").get()
    monkeypatch.setattr(visitor_models, "PATIENCE", 0.1)
    monkeypatch.setattr(visitor_models, "fetch", lambda name: go.wait(30) and real)
    refused(visitors, "a/slow", "error.visitor.loading")
    refused(visitors, "b/slow", "error.visitor.loading")
    refused(visitors, "c/slow", "error.visitor.busy")
    go.set()
    monkeypatch.setattr(visitor_models, "PATIENCE", 30)
    assert visitors.get("a/slow") is real and visitors.get("b/slow") is real


def test_a_failure_is_not_remembered(hub: HubServer, visitors: VisitorModels, copy_of_tiny: Path) -> None:
    refused(visitors, REPO, "error.visitor.missing")
    hub.add(REPO, copy_of_tiny)
    assert visitors.get(REPO).sample_size == 8


def test_a_question_names_its_model(hub: HubServer, visitors: VisitorModels, tiny_pipeline: Path, copy_of_tiny: Path) -> None:
    hub.add(REPO, copy_of_tiny)
    models = Models(ModelSlot(str(tiny_pipeline)), visitors)
    own = models.get()
    assert own.source == str(tiny_pipeline)
    assert models.get(Asked({})) is own and models.get(Asked({"model": ""})) is own and models.get(Asked({"model": None})) is own
    assert models.get(Asked({"model": REPO})).source == REPO
    assert models.get(Asked({"model": "bundled:mnist"})).sample_size == 28
    assert ModelSlot(str(tiny_pipeline)).get(Asked({"model": REPO})).source == str(tiny_pipeline)
    with pytest.raises(VisitorError):
        models.get(Asked({"model": ["a list"]}))


def test_without_the_hub_the_sentence_has_no_advice_for_the_owner(visitors: VisitorModels, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddpm_space import hub as hub_module

    hub.fault(status=503, times=99)
    monkeypatch.setattr(hub_module, "PAUSES", (0.0, 0.0))
    assert "bundled model" in refused(visitors, REPO, "error.visitor.unreached")
