"""Data sets: the bundled one, folders, parquet files; what cannot be trained on is refused with its name and the fix."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from picture_files import cells, png, write
from PIL import Image

from training.data import DataError, load_images


def test_the_bundled_digits_are_all_there() -> None:
    data = load_images("bundled", split="test")
    assert data.images.shape == (1000, 1, 28, 28) and data.images.dtype == torch.uint8
    assert data.labels is not None and torch.bincount(data.labels).tolist() == [100] * 10
    # Ink is the exception in MNIST: a set read with black and white exchanged, or twice scaled, is far from this mean.
    assert 25 < data.images.float().mean() < 45


def test_a_parquet_file_keeps_every_level_and_the_order(tmp_path: Path) -> None:
    data = load_images(str(write(tmp_path / "x.parquet", image=cells(0, 1, 128, 255), label=[3, 1, 4, 1])), size=8)
    assert data.images[:, 0, 0, 0].tolist() == [0, 1, 128, 255]
    assert data.labels is not None and data.labels.tolist() == [3, 1, 4, 1]
    batch = data.batch(torch.tensor([3, 0, 2]))
    assert batch.dtype == torch.float32 and batch[:, 0, 0, 0].tolist() == pytest.approx([1, -1, 2 * 128 / 255 - 1], abs=1e-6)


def test_the_split_is_found_in_a_folder_of_parquet_files(tmp_path: Path) -> None:
    for split, values in {"train": (1, 2, 3), "test": (9,)}.items():
        write(tmp_path / "data" / f"{split}-00000-of-00001.parquet", image=cells(*values))
    assert load_images(str(tmp_path), split="train", size=8).images[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert load_images(str(tmp_path), split="test", size=8).images[:, 0, 0, 0].tolist() == [9]
    assert load_images(str(tmp_path), split="test", size=8).labels is None


def test_a_folder_of_pictures_of_any_size_and_kind_in_gray_and_rgb(tmp_path: Path) -> None:
    for name, size, mode in (("a/1.png", (8, 8), "L"), ("a/2.png", (30, 20), "RGB"), ("b/3.jpg", (9, 40), "L")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new(mode, size, 200 if mode == "L" else (200, 0, 0)).save(tmp_path / name)
    gray = load_images(str(tmp_path), size=16)
    assert gray.images.shape == (3, 1, 16, 16) and gray.labels is not None and gray.labels.tolist() == [0, 0, 1]
    colour = load_images(str(tmp_path), size=16, channels=3)
    assert colour.images.shape == (3, 3, 16, 16) and colour.images[1, :, 0, 0].tolist() == [200, 0, 0]
    assert colour.images[0, :, 0, 0].tolist() == [200, 200, 200]


def refused(source: Path | str, *named: str, **options: object) -> None:
    with pytest.raises(DataError) as caught:
        load_images(str(source), **options)  # type: ignore[arg-type]
    assert all(words in str(caught.value) for words in named), str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_no_image_column_names_the_columns_there_are(tmp_path: Path) -> None:
    file = write(tmp_path / "numbers.parquet", pixels=[1, 2], name=["a", "b"])
    refused(file, "no image column", "pixels (int64)", "name (string)")
    refused(file, "no image column 'image'", "pixels (int64)", image_column="image")


def test_several_image_columns_ask_for_a_choice(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.parquet", left=cells(1), right=cells(2))
    refused(file, "left, right", "image_column")
    assert load_images(str(file), size=8, image_column="right").images.unique().tolist() == [2]


def test_an_empty_folder_an_empty_file_and_nothing_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty" / "inner").mkdir(parents=True)
    (tmp_path / "empty" / "notes.txt").write_text("no pictures")
    refused(tmp_path / "empty", "holds no images", ".png")
    refused(write(tmp_path / "none.parquet", image=pa.array([], pa.struct({"bytes": pa.binary(), "path": pa.string()}))), "no rows")
    refused(tmp_path / "missing", "there is no file or folder", "missing")
    refused(tmp_path / "empty" / "notes.txt", "not a .parquet file")
    refused("bundled", "validation", split="validation")
    refused("bundled", "channels = 2", channels=2)


def test_a_broken_picture_is_named_by_row_and_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    for bad in (b"no image", buffer.getvalue()[:60]):
        file = write(tmp_path / "x.parquet", image=[*cells(1), {"bytes": bad, "path": "bad.png"}])
        refused(file, "row 1", "bad.png", "replace it", size=8)
    refused(write(tmp_path / "y.parquet", image=[*cells(1, 2), None]), "row 2", "has no image", size=8)
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "torn.png").write_bytes(png(3)[:40])
    refused(folder, "torn.png", size=8)
    (tmp_path / "torn.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:100])
    refused(tmp_path / "torn.parquet", "cannot be read as parquet")


def test_a_hub_id_that_cannot_be_reached_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    refused("somebody/no_such_set", "somebody/no_such_set", "check the name, the split and the network")
