"""Streams: disjoint shares, passes without end, exact resume without a shuffle buffer, and what is said where it is not exact."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from picture_files import cells, png, write

from training.config import make_config
from training.data import DataError, ImageStream, TrainingData, open_data

ROOT = Path(__file__).resolve().parent.parent


def opened(source: Path, *, rank: int = 0, world: int = 1, **options: Any) -> TrainingData:
    chosen = {"dataset": str(source), "resolution": 8, "streaming": True, "shuffle_buffer": 1, "eval_images": 0, **options}
    return open_data(make_config(chosen), rank=rank, world=world)


def levels(stream: Any, count: int) -> list[int]:
    return ((stream.next_batch(count)[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pass through several parquet files datasets sleeps five seconds, for the sake of threads in arrow."""
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.1)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Four files of 25 pictures, 0 to 99."""
    for part in range(4):
        write(tmp_path / "files" / f"train-{part}.parquet", image=cells(*range(25 * part, 25 * part + 25)))
    return tmp_path / "files"


def test_one_process_sees_all_and_begins_anew(files: Path) -> None:
    stream = opened(files).train
    assert isinstance(stream, ImageStream) and stream.loses == ""
    assert levels(stream, 30) + levels(stream, 70) == list(range(100))
    assert sorted(levels(stream, 100)) == list(range(100)), "the second pass, its files in another order"


@pytest.mark.parametrize("world", [2, 3])
@pytest.mark.parametrize("buffer", [1, 50])
def test_processes_see_disjoint_shares(files: Path, world: int, buffer: int) -> None:
    seen = []
    for rank in range(world):
        data = opened(files, rank=rank, world=world, shuffle_buffer=buffer)
        assert any("4 files for 3 processes" in note for note in data.notes) == (world == 3)
        seen += levels(data.train, 100 // world)
    assert len(set(seen)) == len(seen) == 100 // world * world
    assert (seen == sorted(seen)) is False or buffer == 1


@pytest.mark.parametrize("before", [0, 7, 64, 100, 130])
def test_a_stream_that_is_not_shuffled_goes_on_where_it_was(files: Path, before: int) -> None:
    options: dict[str, Any] = {"flip": True}
    whole = opened(files, **options).train
    if before:
        whole.next_batch(before)
    state = json.loads(json.dumps(whole.state_dict()))
    resumed = opened(files, **options).train
    resumed.next_batch(9)  # whatever it had read ahead is forgotten
    resumed.load_state_dict(state)
    for count in (5, 90, 64, 41):
        assert torch.equal(whole.next_batch(count), resumed.next_batch(count))


def test_a_shuffled_stream_says_what_it_loses_and_goes_on_with_what_it_has_not_given(files: Path) -> None:
    data = opened(files, shuffle_buffer=10)
    assert "up to 74 pictures" in data.train.loses and data.train.loses in data.notes
    first = levels(data.train, 60)
    assert first != list(range(60))
    state = json.loads(json.dumps(data.train.state_dict()))
    resumed = opened(files, shuffle_buffer=10).train
    resumed.load_state_dict(state)
    rest = levels(resumed, 20)
    assert not set(first) & set(rest) and len(set(rest)) == 20 and resumed.given == 80


def test_another_number_of_processes_cannot_go_on(files: Path) -> None:
    state = opened(files, rank=1, world=2).train.state_dict()
    with pytest.raises(DataError, match="process 1 of 2, this is process 0 of 1"):
        opened(files).train.load_state_dict(state)


def test_pictures_are_held_out_of_a_stream(files: Path, tmp_path: Path) -> None:
    data = opened(files, eval_images=10)
    assert len(data.held_out) == 10 and "the first of the stream" in data.notes[0]
    held = ((data.held_out.batch(torch.arange(10))[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()
    assert held == list(range(10)) and levels(data.train, 90) == list(range(10, 100))
    write(files / "test.parquet", image=cells(200, 201, 202))
    data = opened(files, eval_images=2)
    assert data.held_out.images[:, 0, 0, 0].tolist() == [200, 201] and levels(data.train, 3) == [0, 1, 2]


@pytest.mark.parametrize("world", [2, 3, 4])
@pytest.mark.parametrize("buffer", [1, 50])
def test_no_process_learns_from_what_is_held_out_of_a_stream(files: Path, world: int, buffer: int) -> None:
    for rank in range(world):
        data = opened(files, rank=rank, world=world, shuffle_buffer=buffer, eval_images=10)
        assert data.held_out.images[:, 0, 0, 0].tolist() == list(range(10))
        seen = set(levels(data.train, 150))  # several passes
        assert not seen & set(range(10)) and len(seen) >= 100 // world - 11


def test_a_stream_that_would_be_held_out_whole_is_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "few.parquet", image=cells(*range(5)))
    with pytest.raises(DataError, match="has 5 pictures, and eval_images = 5 would hold out all of them"):
        opened(file, eval_images=5)
    assert levels(opened(file, eval_images=4).train, 2) == [4, 4]


def test_broken_pictures_in_a_stream(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path / "x.parquet", image=[*cells(*range(5)), {"bytes": b"no image", "path": "bad.png"}, *cells(*range(6, 40))])
    with pytest.raises(DataError, match=r"bad.png.*skip_broken"):
        opened(file).train.next_batch(3)
    stream = opened(file, skip_broken=True).train
    assert levels(stream, 39) == [0, 1, 2, 3, 4, *range(6, 40)] and stream.skipped == 1
    assert "1 of the pictures met so far cannot be read" in caplog.text
    resumed = opened(file, skip_broken=True).train
    resumed.load_state_dict(stream.state_dict())
    assert resumed.skipped == 1 and torch.equal(resumed.next_batch(9), stream.next_batch(9))
    nothing = write(tmp_path / "y.parquet", image=[{"bytes": b"no image", "path": "bad.png"}] * 70)
    with pytest.raises(DataError, match="no picture that can be read"):
        opened(nothing, skip_broken=True).train.next_batch(1)
    with pytest.raises(DataError, match="at least one for each process"):
        opened(write(tmp_path / "z.parquet", image=cells(1)), rank=1, world=2).train.next_batch(1)


def test_folders_and_random_crops_are_streamed_too(tmp_path: Path) -> None:
    for index in range(12):
        (tmp_path / f"{index:02d}.png").write_bytes(png(index, (12, 8)))
    data = opened(tmp_path, crop="random")
    assert data.train.next_batch(12).shape == (12, 1, 8, 8)
    assert sorted(levels(data.train, 12)) == list(range(12))


def test_a_stream_without_described_columns_is_understood_from_its_first_row() -> None:
    from datasets import IterableDataset

    from training.data import _with_features
    from training.data.sources import image_column

    rows = IterableDataset.from_generator(lambda: iter([{"picture": {"bytes": png(3), "path": None}, "n": 1}]))
    assert rows.features is None
    assert image_column(_with_features(rows, "rows").features, None, "rows") == "picture"


def test_a_connection_that_is_lost_for_good_says_how_to_go_on(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = opened(files).train
    rows = iter(stream._reader.table)

    def torn() -> Any:
        yield from islice(rows, 70)
        raise ConnectionError("the server\nwent away")

    monkeypatch.setattr(stream._reader, "rows", torn())
    assert len(stream.next_batch(64)) == 64
    with pytest.raises(DataError, match=r"broke off after 64 pictures \(ConnectionError: the server went away\).*--resume latest"):
        stream.next_batch(64)


ENDLESS_WAIT = """
import sys, time
from datasets import Features, Image, IterableDataset
from picture_files import png
from training.data.pictures import Decoder
from training.data.stream import ImageStream

asleep = []

def rows():
    for index in range(65):
        yield {"image": {"bytes": png(index), "path": None}}
    asleep.append(True)
    time.sleep(600)

table = IterableDataset.from_generator(rows, features=Features({"image": Image(decode=False)}))
stream = ImageStream(table, "image", Decoder(1, 8), "slow")
print(stream.next_batch(10).shape)
while not asleep:
    time.sleep(0.05)
"""


def test_a_run_that_ends_does_not_wait_for_a_network_that_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS_WAIT],
        cwd=ROOT,
        env={**__import__("os").environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
        timeout=60,
        check=True,
    )
    assert done.returncode == 0
