"""Data sets of the Hub, over HTTP: configurations, revisions, streams, a silent Hub with and without a cache, every refusal with its fix."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import TOKENS, HubServer
from picture_files import parquet, png

from training.config import make_config
from training.data import DataError, TrainingData, load_images, open_data
from training.data import hub_sets as hub_data

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        server.become_default(monkeypatch)
        monkeypatch.setattr("datasets.config.HF_ENDPOINT", server.url)
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        files = {"data/train-00000-of-00001.parquet": parquet(*range(30)), "data/test-00000-of-00001.parquet": parquet(200, 201, 202)}
        server.add("alice/digits", files, kind="dataset")
        yield server
        server.heal()


def opened(name: str, **options: Any) -> TrainingData:
    return open_data(make_config({"dataset": name, "resolution": 8, **options}))


def refused(name: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        opened(name, **options)
    text = str(caught.value)
    assert len(text.splitlines()) == 1 and not any(token in text for token in TOKENS.values())
    return text


def test_a_set_of_the_hub_is_read_whole_or_as_a_stream(hub: HubServer) -> None:
    images = load_images("alice/digits", size=8)
    assert images.images[:, 0, 0, 0].tolist() == list(range(30)) and images.labels.tolist() == [value % 3 for value in range(30)]
    data = opened("alice/digits")
    assert (data.name, len(data.train), len(data.held_out), data.notes) == ("alice/digits", 30, 3, [])
    stream = opened("alice/digits", streaming=True, shuffle_buffer=1)
    assert ((stream.train.next_batch(5)[:, 0, 0, 0] + 1) * 127.5).round().tolist() == [0, 1, 2, 3, 4]
    assert stream.held_out.images[:, 0, 0, 0].tolist() == [200, 201, 202]
    stream.train.close()


def test_folders_of_pictures_on_the_hub_are_streamed_file_by_file(hub: HubServer) -> None:
    hub.add("alice/folder", {f"train/{kind}/{index}.png": png(10 * index) for index in range(5) for kind in "ab"}, kind="dataset")
    assert load_images("alice/folder", size=8).labels.tolist() == [0] * 5 + [1] * 5
    stream = opened("alice/folder", streaming=True, shuffle_buffer=1, eval_images=0).train
    levels = ((stream.next_batch(10)[:, 0, 0, 0] + 1) * 127.5).round().tolist()
    assert sorted(levels) == sorted([0, 10, 20, 30, 40] * 2)
    stream.close()


def test_configurations_and_revisions_are_chosen_by_name(hub: HubServer) -> None:
    card = "---\nconfigs:\n- config_name: small\n  data_files: small.parquet\n- config_name: large\n  data_files: large.parquet\n---\n"
    files = {"README.md": card.encode(), "small.parquet": parquet(1, 2), "large.parquet": parquet(*range(20))}
    hub.add("alice/two", files, kind="dataset")
    assert len(opened("alice/two", dataset_config="small", eval_images=0).train) == 2
    asked = refused("alice/two")
    assert "choose a configuration with dataset_config" in asked and "small" in asked and "large" in asked
    assert "large" in refused("alice/two", dataset_config="medium")
    old = hub.add("alice/digits", {"train.parquet": parquet(5, 6, 7)}, kind="dataset")
    hub.add("alice/digits", {"train.parquet": parquet(8)}, kind="dataset")
    assert len(opened("alice/digits", dataset_revision=old, eval_images=0).train) == 3
    assert "dataset_revision names no branch" in refused("alice/digits", dataset_revision="v9")


@pytest.mark.parametrize("streaming", [False, True])
def test_what_is_not_there_is_listed(hub: HubServer, streaming: bool) -> None:
    assert "no split 'valid': it has train, test" in refused("alice/digits", dataset_split="valid", streaming=streaming)
    assert "no image column 'picture': its columns are image" in refused("alice/digits", image_column="picture", streaming=streaming)
    assert "channels = 2" in refused("alice/digits", channels=2, streaming=streaming)


def test_missing_private_and_gated_sets_and_wrong_tokens_say_what_to_do(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, options in (("alice/private", {"private": True}), ("alice/gated", {"gated": True})):
        hub.add(name, {"train.parquet": parquet(*range(30))}, kind="dataset", **options)
    assert "check the name; a private set needs a login" in refused("alice/missing")
    assert "check the name; a private set needs a login" in refused("alice/private")
    assert "its owner gives access" in refused("alice/gated")
    hub.become_default(monkeypatch, "other")
    assert "its owner gives access" in refused("alice/gated")
    hub.become_default(monkeypatch, "wrong")
    assert "the token is not a valid one" in refused("alice/digits")
    monkeypatch.setenv("HF_TOKEN", "\u201chf_alice\u201d")
    assert "the token is not a valid one" in refused("alice/digits")
    hub.become_default(monkeypatch, "read")
    assert len(opened("alice/private").train) == 27 and len(opened("alice/gated", eval_images=0).train) == 30


def test_a_hub_that_never_answers_is_given_up_for_the_cache_and_the_user_is_told(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_data, "HUB_SECONDS", 0.5)
    opened("alice/digits")
    hub.fault(silent=True, times=math.inf)
    start = time.monotonic()
    data = opened("alice/digits")
    assert len(data.train) == 30 and "does not answer (ReadTimeout): alice/digits is read from the cache" in data.notes[0]
    assert "is read from the cache" in opened("alice/digits", streaming=True, shuffle_buffer=1).notes[0]
    text = refused("alice/other")
    assert "does not answer" in text and "not in the cache" in text
    assert time.monotonic() - start < 10, "datasets alone tries for minutes"
    from huggingface_hub import constants

    assert not constants.HF_HUB_OFFLINE, "what comes later, a push say, asks the Hub again"


def test_a_hub_that_is_down_is_told_from_a_set_that_is_missing(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    opened("alice/digits")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    data = opened("alice/digits")
    assert "does not answer (ConnectError)" in data.notes[0]
    assert "not in the cache" in refused("alice/other")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    hub.fault(status=503, times=math.inf)
    assert "does not answer (status 503): alice/digits is read from the cache" in opened("alice/digits").notes[0]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set: alice/digits is read from the cache" in opened("alice/digits").notes[0]


AT_ONCE = """
import hashlib, json, sys
import torch
from training.config import make_config
from training.data import open_data
rank = int(sys.argv[1])
data = open_data(make_config({"dataset": "alice/many", "resolution": 8, "eval_images": 10}), rank=rank, world=3)
images = [data.train.batch(torch.arange(len(data.train))), data.held_out.batch(torch.arange(len(data.held_out)))]
print(json.dumps([hashlib.sha256(x.numpy().tobytes()).hexdigest() for x in images]))
"""


@pytest.mark.proof
def test_processes_that_open_a_set_at_the_same_time_with_an_empty_cache_read_the_same(hub: HubServer, tmp_path: Path) -> None:
    files = {f"data/train-{part}.parquet": parquet(*range(20 * part, 20 * part + 20)) for part in range(10)}
    hub.add("alice/many", files, kind="dataset")
    environment = {**hub.environment(tmp_path / "home"), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen([sys.executable, "-c", AT_ONCE, str(rank)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for rank in range(3)
    ]
    ended = [process.communicate(timeout=120) for process in started]
    assert all(process.returncode == 0 for process in started), [stderr for _, stderr in ended]
    assert len({stdout for stdout, _ in ended}) == 1 and len(json.loads(ended[0][0])) == 2
