"""What a run trains on and what it holds out: memory or disk, flips and crops by position, broken pictures, splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_files import cells, png, write
from PIL import Image

from training.batches import Batches
from training.config import make_config
from training.data import DataError, ImageSet, LooseImageSet, TrainingData, open_data
from training.timesteps import make_sampler

ON_DISK = 1e-9
"""GB: no picture fits into so little memory."""


def opened(source: Path | str, **options: Any) -> TrainingData:
    return open_data(make_config({"dataset": str(source), "resolution": 8, **options}))


def levels(data: Any) -> list[int]:
    """The level of the first pixel of every picture."""
    return ((data.batch(torch.arange(len(data)))[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write(tmp_path / "many" / "x.parquet", image=cells(*range(100)), label=list(range(100)))


@pytest.fixture
def ramps(tmp_path: Path) -> Path:
    """Three dozen pictures of 8 x 8, each a ramp of its own from left to right."""
    for index in range(36):
        ramp = np.tile(np.arange(8, dtype=np.uint8) * 10 + index, (8, 1))
        path = tmp_path / "ramps" / f"{index:02d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(ramp).save(path)
    return tmp_path / "ramps"


def test_a_set_in_memory_and_one_on_disk_give_the_same_pictures(many: Path, ramps: Path) -> None:
    for source, options in ((many, {}), (ramps, {"flip": True}), (ramps, {"crop": "random", "flip": True})):
        memory, disk = opened(source, **options).train, opened(source, memory_limit_gb=ON_DISK, **options)
        assert isinstance(memory, ImageSet) and isinstance(disk.train, LooseImageSet) and disk.train.is_on_disk
        assert any("memory_limit_gb" in note for note in disk.notes)
        rows, places = torch.randint(len(memory), (20,)), torch.randint(10**6, (20,))
        for positions in (None, places):
            assert torch.equal(memory.batch(rows, positions, 3), disk.train.batch(rows, positions, 3))
        assert memory.labels is None or torch.equal(memory.labels, disk.train.labels)


def test_pictures_that_are_expected_are_decoded_before_they_are_asked_for(many: Path) -> None:
    data = opened(many, memory_limit_gb=ON_DISK, eval_images=0).train
    decoded, decoder = [], data.rows.decoder
    data.rows.decoder = lambda cell, where: decoded.append(where) or decoder(cell, where)
    data.expect(torch.tensor([5, 7]))
    data.rows.threads.shutdown(wait=True)  # no thread is left to do it later
    assert len(decoded) == 2 and ((data.batch(torch.tensor([5, 7]))[:, 0, 0, 0] + 1) * 127.5).round().tolist() == [5, 7]
    data = opened(many, memory_limit_gb=ON_DISK, eval_images=0).train
    data.expect(torch.tensor([5, 7]))
    assert levels(data) == list(range(100)), "what was expected and not asked for changes nothing"


def test_the_batches_of_a_run_are_the_same_from_disk_each_decoded_while_the_one_before_is_worked_on(ramps: Path) -> None:
    config = make_config({"dataset": str(ramps), "resolution": 8, "flip": True})
    runs = [
        Batches(opened(ramps, flip=True, memory_limit_gb=memory).train, make_sampler(config, 50), 5, seed=3, parts=2) for memory in (4.0, ON_DISK)
    ]
    for step, part in ((0, 0), (0, 1), (1, 0), (7, 1), (1, 0)):
        memory, disk = (run.at(step, part) for run in runs)
        assert torch.equal(memory.x_0, disk.x_0)
    coming = runs[1].data.rows.expected[0]
    runs[1].at(1, 1)
    assert len(coming) == 5 and runs[1].data.rows.expected[0] != coming


def test_flips_are_a_function_of_seed_and_position_alone_and_fair(ramps: Path) -> None:
    data = opened(ramps, flip=True).train
    plain = data.batch(torch.zeros(2000, dtype=torch.long))
    places = torch.arange(2000)
    flipped = data.batch(torch.zeros(2000, dtype=torch.long), places, 5)
    is_flipped = (flipped != plain).flatten(1).any(1)
    assert torch.equal(flipped[is_flipped], plain[is_flipped].flip(3))
    assert abs(is_flipped.float().mean() - 0.5) < 4 * 0.5 / 2000**0.5  # four standard errors
    # Neighbours are independent: the flips of odd and even places agree half of the time.
    assert abs((is_flipped[::2] == is_flipped[1::2]).float().mean() - 0.5) < 4 * 0.5 / 1000**0.5
    shuffled = torch.randperm(2000)
    assert torch.equal(data.batch(torch.zeros(2000, dtype=torch.long), places[shuffled], 5), flipped[shuffled])
    assert not torch.equal(data.batch(torch.zeros(2000, dtype=torch.long), places, 6), flipped)
    assert torch.equal(opened(ramps).train.batch(torch.zeros(9, dtype=torch.long), places[:9], 5), plain[:9]), "no flip without the option"


def test_random_crops_reach_every_place_and_the_middle_without_a_position(tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    folder.mkdir()
    for index in range(20):
        Image.fromarray(np.tile(np.arange(12, dtype=np.uint8), (8, 1))).save(folder / f"{index}.png")
    data = opened(folder, crop="random").train
    assert isinstance(data, LooseImageSet) and not data.is_on_disk
    corners = ((data.batch(torch.zeros(400, dtype=torch.long), torch.arange(400), 1)[:, 0, 0, 0] + 1) * 127.5).round().long()
    assert torch.bincount(corners).min() > 400 / 5 - 4 * (400 * 0.2 * 0.8) ** 0.5 and torch.bincount(corners).shape == (5,)
    assert levels(data)[0] == 2


def test_a_split_of_its_own_is_held_out_whole(tmp_path: Path) -> None:
    for split, values in {"train": range(20), "test": range(200, 207), "val": (250, 251)}.items():
        write(tmp_path / "data" / f"{split}-00000-of-00001.parquet", image=cells(*values))
    data = opened(tmp_path)
    assert levels(data.train) == list(range(20)) and levels(data.held_out) == list(range(200, 207)) and not data.notes
    assert levels(opened(tmp_path, eval_split="val").held_out) == [250, 251]
    assert opened(tmp_path, eval_images=0).held_out is None
    # A slice of the split that is trained on is another part of it only where the two do not meet.
    sliced = opened(tmp_path, dataset_split="train[:15]", eval_split="train[15:]")
    assert levels(sliced.train) == list(range(15)) and levels(sliced.held_out) == list(range(15, 20))
    meeting = opened(tmp_path, dataset_split="train[:16]", eval_split="train[15:]")
    assert meeting.held_out is None and "too few pictures" in meeting.notes[0]
    with pytest.raises(DataError, match="no split 'training': it has test, train, val"):
        opened(tmp_path, dataset_split="training")


def test_without_a_split_pictures_are_taken_out_of_the_training_set(many: Path) -> None:
    data, again, other = opened(many, eval_images=10), opened(many, eval_images=10), opened(many, eval_images=10, seed=1)
    assert len(data.held_out) == 10 and sorted(levels(data.train) + levels(data.held_out)) == list(range(100))
    assert levels(data.held_out) == levels(again.held_out) != levels(other.held_out)
    assert data.train.labels.tolist() == levels(data.train)
    assert "no split 'test' beside 'train'" in data.notes[0] and "10 of its pictures, drawn with the seed" in data.notes[0]
    assert len(opened(many, eval_images=64).held_out) == 10, "no more than a tenth"
    assert len(opened(many, eval_images=1).held_out) == 1
    assert opened(many, eval_images=0).held_out is None and len(opened(many, eval_images=0).train) == 100


def test_folders_of_pictures_have_the_splits_that_their_first_folders_name(tmp_path: Path) -> None:
    for name, value in {"train/a/1": 1, "train/b/2": 2, "test/b/3": 3, "test/b/._3": 0, "__MACOSX/train/4": 0}.items():
        (tmp_path / f"{name}.png").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.png").write_bytes(png(value) if value else b"no picture")
    data = opened(tmp_path)
    assert levels(data.train) == [1, 2] and levels(data.held_out) == [3]
    assert data.train.labels.tolist() == [0, 1]
    with pytest.raises(DataError, match="no split 'validation': it has test, train"):
        opened(tmp_path, dataset_split="validation")


def test_splits_are_known_in_capitals_and_files_that_are_no_pictures_are_told_of(tmp_path: Path) -> None:
    for name in ("Training/a/1", "Training/b/2", "Testing/a/3"):
        (tmp_path / f"{name}.png").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.png").write_bytes(png(int(name[-1])))
    with pytest.raises(DataError, match="no split 'train': it has testing, training"):
        opened(tmp_path)
    data = opened(tmp_path, dataset_split="training", eval_split="testing")
    assert levels(data.train) == [1, 2] and levels(data.held_out) == [3] and not data.notes
    for name in ("Training/a/4.HEIC", "Training/a/5.heic", "Training/notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    told = opened(tmp_path, dataset_split="training", eval_split="testing").notes
    assert len(told) == 1 and told[0].endswith(": 3 files that cannot be read as pictures (.heic, .txt)")


@pytest.mark.parametrize("memory", [4.0, ON_DISK])
def test_broken_pictures_stop_the_run_or_are_left_out_and_counted(tmp_path: Path, memory: float, caplog: pytest.LogCaptureFixture) -> None:
    rows = [*cells(*range(10)), {"bytes": b"no image", "path": "bad.png"}, *cells(11), None, *cells(*range(13, 30))]
    file = write(tmp_path / "some.parquet", image=rows, label=list(range(30)))
    options: dict[str, Any] = {"memory_limit_gb": memory, "eval_images": 0}
    with pytest.raises(DataError, match=r"row 1[02] of .*(bad.png|no image)"):
        opened(file, **options).train.batch(torch.arange(30))
    data = opened(file, skip_broken=True, **options)
    good = [value for value in range(30) if value not in (10, 12)]
    if memory > 1:
        assert levels(data.train) == good == data.train.labels.tolist() and any("2 of the pictures" in note for note in data.notes)
    else:  # the rows keep their numbers, so that a run which is resumed keeps its order: the next good picture stands in
        assert levels(data.train) == [value + (value in (10, 12)) for value in range(30)] == levels(data.train)
        assert [record.getMessage() for record in caplog.records] == [f"{data.name}: 1 of the pictures met so far cannot be read and were left out"]
    assert data.skipped == 2
    nothing = write(tmp_path / "nothing.parquet", image=[{"bytes": b"no image", "path": "bad.png"}] * 30)
    with pytest.raises(DataError, match=r"can(not)? be read"):
        opened(nothing, skip_broken=True, **options)


def test_a_column_of_arrays_gives_any_number_of_channels(tmp_path: Path) -> None:
    from datasets import Array3D, Dataset, Features

    values = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 5, 8, 8), np.uint8)
    table = Dataset.from_dict({"bands": list(values)}, features=Features({"bands": Array3D((5, 8, 8), "uint8")}))
    table.to_parquet(tmp_path / "bands.parquet")
    for memory in (4.0, ON_DISK):
        data = opened(tmp_path / "bands.parquet", channels=5, memory_limit_gb=memory, eval_images=0)
        assert data.train.batch(torch.arange(3)).shape == (3, 5, 8, 8) and levels(data.train) == list(range(40))
    with pytest.raises(DataError, match="channels = 3"):
        opened(tmp_path / "bands.parquet", channels=3)


def test_names_with_brackets_spaces_and_labels_that_are_missing(tmp_path: Path) -> None:
    file = write(tmp_path / "a [1] *b" / "x y.parquet", image=cells(1, 2), label=[None, 1])
    data = opened(file, eval_images=0)
    assert levels(data.train) == [1, 2] and data.train.labels is None


def test_the_memory_limit_is_for_all_processes_of_a_machine(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 100 * 64 * 1.5e-9
    assert isinstance(opened(many, memory_limit_gb=limit).train, ImageSet)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    shared = opened(many, memory_limit_gb=limit)
    assert isinstance(shared.train, LooseImageSet) and "for 2 processes" in "".join(shared.notes)
