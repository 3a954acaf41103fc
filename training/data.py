"""Read a data set of pictures once, into one uint8 tensor in memory.

The pictures that a small UNet is trained on fit into memory many times over (60,000 of 28 x 28 gray are 47 MB), and indexing a
tensor costs nothing beside a training step, while decoding and collating every batch anew would cost more than the step itself.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read when datasets is imported: without it, opening even a local file asks a server to count the use.
os.environ.setdefault("HF_UPDATE_DOWNLOAD_COUNTS", "0")

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset, load_dataset
from datasets import Image as ImageFeature
from PIL import Image
from torch import Tensor

from ddpm_space.images import FORMATS, ImageError, load_image

BUNDLED = Path(__file__).resolve().parents[1] / "ddpm_space" / "assets" / "data" / "mnist_small"
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")


class DataError(ValueError):
    """A data set that cannot be trained on: the message names what was found and what to do."""


@dataclass(frozen=True)
class ImageSet:
    """Pictures in memory.

    Args:
        images: uint8 (N, C, H, W). labels: int64 (N,), or None if the set has none. name: what it is called in model cards.
    """

    images: Tensor
    labels: Tensor | None
    name: str

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, indices: Tensor) -> Tensor:
        """Pictures of these rows as float32 (B, C, H, W) in [-1, 1], the only range the models know."""
        return self.images[indices].float() / 127.5 - 1


def load_images(source: str, *, split: str = "train", channels: int = 1, size: int = 28, image_column: str | None = None) -> ImageSet:
    """Read a data set into memory.

    Args:
        source: "bundled" (the small MNIST of this repository), a parquet file, a folder of parquet files, a folder of pictures
            (sub-folders are classes), or the id of a data set on the Hub.
        split: "train" or "test", or what the set calls it; a single file is one split whatever its name.
        channels: 1 (gray) or 3 (RGB); size: height and width, other pictures are cropped to the middle square and resampled.
        image_column: the column to read; by default the only one that holds images.
    Returns:
        the pictures, and their labels where the set has an integer column `label`.
    Raises:
        DataError: nothing there, no image column, an empty set, a broken picture.
    """
    if channels not in (1, 3):
        raise DataError(f"channels = {channels}: use 1 (gray) or 3 (RGB)")
    table, name = _open(source, split)
    column = _image_column(table, image_column, name)
    if len(table) == 0:
        raise DataError(f"the data set {name} has no rows: give one with at least one image")
    rows = table.cast_column(column, ImageFeature(decode=False))
    Image.init()  # fills Pillow's list of formats
    images = torch.empty(len(rows), channels, size, size, dtype=torch.uint8)
    for index, cell in enumerate(rows.with_format(None)[column]):
        images[index] = _decode(cell, index, channels, size, name)
    labels = torch.tensor(rows["label"][:]) if "label" in rows.features and getattr(rows.features["label"], "dtype", "") == "int64" else None
    return ImageSet(images, labels, name)


def _open(source: str, split: str) -> tuple[Dataset, str]:
    if source == "bundled":
        return _parquet([BUNDLED / f"{split}.parquet"], split), "mnist_small (bundled)"
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix != ".parquet":
            raise DataError(f"'{path}' is not a .parquet file: give a parquet file, a folder, or the id of a data set on the Hub")
        return _parquet([path], split), f"{path.parent.name}/{path.name}"
    if path.is_dir():
        return _folder(path, split), path.name
    if source.count("/") > 1 or source.startswith((".", "/", "~")) or not source:
        raise DataError(f"there is no file or folder '{source}': check the path, or give 'bundled' or the id of a data set on the Hub (user/name)")
    try:
        return load_dataset(source, split=split), source
    except Exception as error:  # the Hub client raises many unrelated types
        raise DataError(
            f"'{source}' is neither a file or folder here nor a data set that could be loaded from the Hub with split '{split}' "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}): check the name, the split and the network"
        ) from error


def _parquet(files: list[Path], split: str) -> Dataset:
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise DataError(f"there is no file {missing[0]}: use another split than '{split}'")
    for file in files:
        try:
            rows = pq.read_metadata(file).num_rows
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"'{file}' cannot be read as parquet ({str(error).splitlines()[0]}): download or write it again") from error
        if rows == 0:  # which datasets itself takes for damage
            raise DataError(f"'{file}' has no rows: give a file with at least one image")
    return load_dataset("parquet", data_files=[str(file) for file in files], split="train")


def _folder(path: Path, split: str) -> Dataset:
    parquet = sorted(path.rglob("*.parquet"))
    if parquet:
        # Hub snapshots name their files train-00000-of-00001.parquet; a folder without such names is one split.
        return _parquet([file for file in parquet if split in file.relative_to(path).as_posix()] or parquet, split)
    if not any(file.suffix.lower() in SUFFIXES for file in path.rglob("*")):
        raise DataError(f"the folder '{path}' holds no images: put pictures ({', '.join(SUFFIXES[:4])}, ...) or parquet files into it")
    inner = path / split
    return load_dataset("imagefolder", data_dir=str(inner if inner.is_dir() else path), split="train")


def _image_column(table: Dataset, wanted: str | None, name: str) -> str:
    def holds_images(feature: Any) -> bool:
        return isinstance(feature, ImageFeature) or (isinstance(feature, dict) and "bytes" in feature)

    found = [column for column, feature in table.features.items() if holds_images(feature)]
    if wanted is not None and wanted not in found:
        raise DataError(f"the data set {name} has no image column '{wanted}': its columns are {_listed(table)}; set image_column to one with images")
    if wanted is not None:
        return wanted
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(f"the data set {name} has no image column: its columns are {_listed(table)}; give a data set of images")
    raise DataError(f"the data set {name} has several image columns ({', '.join(found)}): choose one with image_column")


def _listed(table: Dataset) -> str:
    return ", ".join(f"{column} ({getattr(feature, 'dtype', type(feature).__name__)})" for column, feature in table.features.items()) or "none"


def _decode(cell: dict[str, Any] | None, index: int, channels: int, size: int, name: str) -> Tensor:
    if cell is None or (cell.get("bytes") is None and not cell.get("path")):
        raise DataError(f"row {index} of {name} has no image: remove it from the data set")
    where = f"row {index} of {name}" + (f" ({cell['path']})" if cell.get("path") else "")
    try:
        if cell.get("bytes") is None:
            x = load_image(cell["path"], channels=channels, size=size)  # type: ignore[arg-type]
        else:
            with Image.open(io.BytesIO(cell["bytes"]), formats=[f for f in FORMATS if f in Image.OPEN]) as picture:
                x = load_image(picture, channels=channels, size=size)  # type: ignore[arg-type]
    except ImageError as error:
        raise DataError(f"{where} cannot be used: {error} Remove or replace it.") from error
    except Exception as error:  # Pillow's plugins raise nearly anything on a broken header
        raise DataError(f"{where} is not an image that can be read: remove or replace it") from error
    return ((x[0] + 1) * 127.5).round().to(torch.uint8)
