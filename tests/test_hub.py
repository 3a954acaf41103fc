"""Models from a Hub that runs on this machine: only the files that are read are fetched, and its faults are told apart."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi

from ddpm_space.models import load
from ddpm_space.pipeline_folder import WEIGHTS

SHA = "0123456789abcdef0123456789abcdef01234567"


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


def test_what_the_hub_does_not_have(copy_of_tiny: Path, own_cache: Path, refused_model: Callable) -> None:
    with hub_of(copy_of_tiny) as (hub, _):
        assert refused_model("error.model.hub_missing", "someone/letters", hub=hub).values["repo"] == "someone/letters"
        assert refused_model("error.model.hub_missing", "someone/digits@v9", hub=hub).values["repo"] == "someone/digits@v9"
        refused_model("error.model.hub_missing", "some..one/-digits", hub=hub)


def test_a_repository_is_refused_before_it_is_downloaded(
    copy_of_tiny: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, refused_model: Callable
) -> None:
    from ddpm_space import hub as hub_module

    with hub_of(copy_of_tiny) as (hub, asked):
        monkeypatch.setattr(hub_module, "MAX_MEGABYTES", 0)
        refused_model("error.model.too_large", "someone/digits", hub=hub)
        assert len(asked) == 1
    (copy_of_tiny / "unet" / WEIGHTS).rename(copy_of_tiny / "unet" / "diffusion_pytorch_model.bin")
    with hub_of(copy_of_tiny) as (hub, asked):
        refused_model("error.model.no_safetensors", "someone/digits", hub=hub)
        assert len(asked) == 1


def test_without_network_and_copy_the_error_says_so(own_cache: Path, refused_model: Callable) -> None:
    nobody = HfApi(endpoint="http://127.0.0.1:9")
    refused_model("error.model.offline", "someone/digits", hub=nobody)
    refused_model("error.model.offline", f"someone/digits@{SHA}", hub=nobody)


def test_a_hub_that_never_answers_is_given_up(own_cache: Path, monkeypatch: pytest.MonkeyPatch, refused_model: Callable) -> None:
    from ddpm_space import hub as hub_module

    monkeypatch.setattr(hub_module, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.perf_counter()
        refused_model("error.model.offline", "someone/digits", hub=HfApi(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        assert time.perf_counter() - began < 30
