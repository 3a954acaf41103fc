"""Models from a Hub that fails on the way: damaged files are found and fetched again, and every wait ends."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_server import HubServer
from huggingface_hub import close_session

from ddpm_space import hub as hub_module
from ddpm_space.hub import hash_of
from ddpm_space.models import load
from ddpm_space.pipeline_folder import WEIGHTS

REPO = "alice/digits"

# Downloads that were given up still tell of their end, when the test that began them is long over.
logging.getLogger("huggingface_hub.file_download").setLevel(logging.ERROR)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_pipeline: Path) -> Iterator[HubServer]:
    """A Hub with one model, and an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with HubServer() as server:
        server.add(REPO, tiny_pipeline)
        yield server


def weights_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*.safetensors"))


@pytest.mark.parametrize("listed", [True, False], ids=["hub", "mirror without hashes"])
@pytest.mark.parametrize("path", ["/lfs/", "/resolve/.*/unet/config.json"], ids=["weights", "configuration"])
def test_a_damaged_file_is_fetched_again(hub: HubServer, path: str, listed: bool) -> None:
    """Of the right size: the client itself notices nothing."""
    hub.lists_hashes = listed
    hub.fault(method="GET", path=path, corrupt=True)
    assert load(REPO, hub=hub.api()).note is None
    assert len(hub.asked(f"^GET .*{path}")) == 2


def test_a_file_that_stays_damaged_is_named_and_not_kept(hub: HubServer, tmp_path: Path, refused_model: Callable) -> None:
    hub.fault(path="/lfs/", corrupt=True, times=math.inf)
    error = refused_model("error.model.checksum", REPO, hub=hub.api())
    assert error.values == {"file": f"unet/{WEIGHTS}", "repo": REPO} and len(hub.asked("^GET /lfs/")) == 2
    assert weights_in(tmp_path / "hub") == []
    hub.heal()
    assert load(REPO, hub=hub.api()).note is None


def test_a_damaged_copy_is_replaced_and_never_used(
    hub: HubServer, tmp_path: Path, tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch, refused_model: Callable
) -> None:
    """Another program may have stored it, and the cache is shared."""
    commit = hub.repository(REPO).commit().sha
    api = hub.api()
    good = hash_of(tiny_pipeline / "unet" / WEIGHTS, "0" * 64)

    def damage() -> Path:
        path = Path(api.hf_hub_download(REPO, f"unet/{WEIGHTS}", revision=commit)).resolve()
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        return path

    load(REPO, hub=api)
    for source in (REPO, f"{REPO}@{commit}"):
        assert hash_of(damage(), good) != good
        assert load(source, hub=api).note is None
        assert hash_of(weights_in(tmp_path / "hub")[0], good) == good
    damage()
    hub.fault(status=503, times=math.inf)
    monkeypatch.setattr(hub_module, "PAUSES", ())
    refused_model("error.model.offline", REPO, hub=api)


def test_the_hashes_are_those_of_git_and_lfs(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert hash_of(tmp_path / "hello", "0" * 40) == "ce013625030ba8dba906f756967f9e9ca394464a", "git hash-object"
    assert hash_of(tmp_path / "hello", "0" * 64) == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03", "sha256sum"


@pytest.mark.parametrize(
    "fault",
    [
        {"path": "/api/models/", "status": 503},
        {"path": "/api/models/", "drop": True},
        {"path": "/resolve/", "method": "HEAD", "status": 502},
        {"path": "/resolve/", "method": "GET", "status": 500},
        {"path": "/lfs/", "status": 500},
        {"path": "/lfs/", "status": 429, "headers": {"Retry-After": "0"}},
        {"path": "/lfs/", "cut": 10_000},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values() if not isinstance(value, dict)),
)
def test_what_passes_is_waited_for(hub: HubServer, monkeypatch: pytest.MonkeyPatch, fault: dict[str, object]) -> None:
    monkeypatch.setattr(hub_module, "PAUSES", (0.01, 0.02))
    hub.fault(**fault)  # type: ignore[arg-type]
    assert load(REPO, hub=hub.api()).note is None


def test_a_download_survives_another_thread_that_closes_the_session(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client does that when a request of any thread finds no server."""
    monkeypatch.setattr(hub_module, "PAUSES", (0.01,))
    hub.fault(path="/lfs/", trickle=20)

    def close() -> None:
        while not hub.asked("/lfs/"):
            time.sleep(0.01)
        time.sleep(0.1)
        close_session()

    threading.Thread(target=close).start()
    assert load(REPO, hub=hub.api()).note is None
    assert len(hub.asked("^GET /lfs/")) == 2


def test_a_download_that_is_always_cut_ends(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused_model: Callable) -> None:
    hub.fault(path="/lfs/", cut=1000, times=math.inf)
    monkeypatch.setattr(hub_module, "PATIENCE", 1.5)
    refused_model("error.model.offline", REPO, hub=hub.api())
    assert weights_in(tmp_path / "hub") == []


@pytest.mark.parametrize("kind", ["silent", "trickle"])
@pytest.mark.parametrize("path", ["/api/models/", "/resolve/.*/config.json", "/lfs/"], ids=["listing", "configuration", "weights"])
def test_a_hub_that_never_answers_is_given_up(
    hub: HubServer, tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch, refused_model: Callable, path: str, kind: str
) -> None:
    """Whatever it was asked: silence, or a byte now and then, which no time-out of a connection notices."""
    monkeypatch.setattr(hub_module, "TIMEOUT", 0.3)
    monkeypatch.setattr(hub_module, "PATIENCE", 0.8)
    monkeypatch.setattr(hub_module, "SLOWEST", 1e9)
    monkeypatch.setattr(hub_module, "PAUSES", ())
    hub.fault(path=path, silent=kind == "silent", trickle=20 if kind == "trickle" else None, times=math.inf)
    began = time.perf_counter()
    error = refused_model("error.model.offline", REPO, hub=hub.api())
    assert time.perf_counter() - began < 10 and ("no answer" in str(error) or "timed out" in str(error))


def test_a_hub_that_falls_silent_at_the_end_is_not_missed(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """All files are here: the last question, which commit the branch is, only helps a later start without the Hub."""
    monkeypatch.setattr(hub_module, "TIMEOUT", 0.3)
    hub.fault(path="/api/models/", skip=1, silent=True)
    model = load(REPO, hub=hub.api())
    assert model.note is None and model.revision == hub.repository(REPO).commit().sha


def test_a_hub_that_falls_silent_leaves_the_copy(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "TIMEOUT", 0.3)
    load(REPO, hub=hub.api())
    hub.fault(silent=True, times=math.inf)
    model = load(REPO, hub=hub.api())
    assert model.note is not None and model.note.values["reason"].key == "reason.timed_out"


@pytest.mark.skipif(not os.environ.get("HF_TOKEN_FOR_SMOKE_TEST"), reason="asks the real Hub: set HF_TOKEN_FOR_SMOKE_TEST to a token that may read")
def test_the_real_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people type first: it loads, or it is said that there are only pickles."""
    from huggingface_hub import HfApi, constants

    from ddpm_space.models import ModelError

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    api = HfApi(endpoint="https://huggingface.co", token=os.environ["HF_TOKEN_FOR_SMOKE_TEST"])
    try:
        assert load("google/ddpm-cifar10-32", hub=api).shape == (3, 32, 32)
    except ModelError as error:
        assert error.key == "error.model.no_safetensors"
