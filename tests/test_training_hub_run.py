"""A run that publishes its model: proved before the first step, pushed after the last, and nothing lost when the Hub is gone by then."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_cards
import pytest
from hub_server import TOKENS, HubServer
from training_runs import log, new_processes, options, same, weights, write_pictures

from ddpm_space import models
from training import hub
from training.config import make_config
from training.publishing import commit as hub_commit
from training.publishing.commit import HubError
from training.train import main

HUB = {"push_to_hub": True, "hub_model_id": "alice/bars", "train_images": 60, "eval_images": 4, "eval_terms": 8}
pytestmark = pytest.mark.filterwarnings("ignore:Use .content=:DeprecationWarning")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    new_processes()
    monkeypatch.setattr(hub_commit, "WAITS", (0.01,))
    with HubServer() as server:
        yield server


@pytest.fixture
def run(tmp_path: Path) -> dict[str, Any]:
    """Options of a tiny run that publishes."""
    (tmp_path / "pictures").mkdir()
    return options(write_pictures(tmp_path / "pictures"), tmp_path / "run", **HUB)


def test_a_run_proves_its_right_first_and_pushes_what_it_leaves(server: HubServer, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server.become_default(monkeypatch, "write")
    model = main(make_config(run))
    repository = server.repository("alice/bars")
    titles = [commit.title for commit in repository.commits.values()]
    assert len(titles) == 3 and titles[1].startswith("Training begins") and titles[2] == "60 images seen"
    files = repository.files()
    for name in ("unet/diffusion_pytorch_model.safetensors", "unet/diffusion_pytorch_model.raw.safetensors", "evaluation.json", "samples.png"):
        assert files[name] == (model / name).read_bytes()
    card = files["README.md"].decode()
    assert hub_cards.problems(card, "model") == ([], []) and 'from_pretrained("alice/bars")' in card and "60 of 60 planned" in card
    assert "bits/dim, held-out images" in card and "/" + model.parts[1] not in card + files["training_config.yaml"].decode()
    assert models.load("alice/bars", hub=server.api()).shape == (1, 8, 8)


def test_a_run_that_may_not_publish_trains_nothing(server: HubServer, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    server.become_default(monkeypatch, "read")
    with pytest.raises(HubError, match="token with the role write"):
        main(make_config(run))
    assert not (Path(run["output_dir"]) / "log.jsonl").exists() and not (Path(run["output_dir"]) / "model").exists()


def test_a_hub_that_is_gone_at_the_end_costs_nothing_but_a_command(
    server: HubServer, run: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    server.become_default(monkeypatch, "write")
    prove = hub.Publisher.prove

    def then_gone(self: hub.Publisher) -> str:
        address = prove(self)
        server.fault(path="/commit/", status=503, times=math.inf)
        return address

    monkeypatch.setattr(hub.Publisher, "prove", then_gone)
    with pytest.raises(HubError, match="is safe in") as caught:
        main(make_config(run))
    model = Path(run["output_dir"]) / "model"
    assert log(model.parent)[-1]["images"] == 60 and models.load(model).shape == (1, 8, 8)
    server.heal()
    hub.main(str(caught.value).split("training.hub ")[1].split())
    assert same(weights(model), weights(Path(models.locate("alice/bars", server.api())[0])))
    printed = capfd.readouterr()
    assert not [token for token in TOKENS.values() if token in printed.out + printed.err]
