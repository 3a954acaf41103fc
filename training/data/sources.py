"""Where pictures come from: the bundled set, parquet files, folders, the Hub. Each is a name, its splits, and a way to open one of them."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, IterableDataset, Value, load_dataset
from datasets import Image as ImageFeature

from training.data.hub_sets import Load, find_on_hub, loading
from training.data.pictures import DataError

BUNDLED = Path(__file__).resolve().parents[2] / "ddpm_space" / "assets" / "data" / "mnist_small"
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jfif")
SPLITS = ("train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation")
"""Words in the names of files and folders that tell splits apart, in small letters or capitals: those that datasets knows."""


@dataclass(frozen=True)
class Source:
    """A data set that was found.

    Args:
        name: as in model cards. splits: what it calls its parts; empty: it is one part, which answers to any name.
        load: (split, streaming) -> the rows of that split, nothing decoded. note: what the user should know about where it was found.
    """

    name: str
    splits: tuple[str, ...]
    load: Load
    note: str = ""

    def has(self, split: str) -> bool:
        """Whether this is one of its splits; slices such as 'train[:90%]' are, of a set that has 'train'."""
        return bool(self.splits) and set(parts(split)) <= set(self.splits)

    def open(self, split: str, *, streaming: bool = False) -> Dataset | IterableDataset:
        """Rows of a split.

        Raises:
            DataError: there is no such split (the message lists those there are).
        """
        if self.splits and not self.has(split):
            raise DataError(f"the data set {self.name} has no split '{split}': it has {', '.join(self.splits)}")
        return self.load(split, streaming)


def parts(split: str) -> list[str]:
    """The names in a split expression: 'train[:90%]+test' is made of train and test."""
    return [re.sub(r"\[.*\]$", "", part.strip()) for part in split.split("+")]


def find_source(source: str, *, config: str | None = None, revision: str | None = None) -> Source:
    """Find a data set, without reading its pictures.

    Args:
        source: "bundled", a parquet file, a folder of parquet files or of pictures, or the id of a data set on the Hub.
        config, revision: of a data set on the Hub: which of its configurations, which branch, tag or commit.
    Raises:
        DataError: there is nothing to be read.
    """
    if source == "bundled":
        return _parquet({path.stem: [path] for path in sorted(BUNDLED.glob("*.parquet"))}, "mnist_small (bundled)")
    path = Path(source).expanduser()
    if path.is_file():
        if path.suffix != ".parquet":
            raise DataError(f"'{path}' is not a .parquet file: give a parquet file, a folder, or the id of a data set on the Hub")
        return _parquet({"": [path]}, f"{path.parent.name}/{path.name}")
    if path.is_dir():
        return _folder(path)
    if source.count("/") > 1 or source.startswith((".", "/", "~")) or "\\" in source or not source:
        raise DataError(f"there is no file or folder '{source}': check the path, or give 'bundled' or the id of a data set on the Hub (user/name)")
    return Source(source, *find_on_hub(source, config, revision))


def _parquet(files: dict[str, list[Path]], name: str) -> Source:
    """Parquet files by split; the key "" is for files that are one split whatever its name."""

    def load(split: str, streaming: bool) -> Dataset | IterableDataset:
        wanted = [file for part in parts(split) for file in files.get(part, files.get("", []))]
        for file in wanted:
            _check_parquet(file)
        # The names are glob patterns to datasets: a bracket in a folder's name would find nothing.
        escaped = {key or "train": [glob.escape(str(file)) for file in value] for key, value in files.items()}
        expression = split if "" not in files else re.sub(r"^[^\[]*", "train", split)
        return loading(lambda: load_dataset("parquet", data_files=escaped, split=expression, streaming=streaming), f"{name} with split '{split}'")

    return Source(name, tuple(key for key in files if key), load)


def _check_parquet(file: Path) -> None:
    try:
        rows = pq.read_metadata(file).num_rows
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{file}' cannot be read as parquet ({(str(error).splitlines() or [''])[0]}): download or write it again") from error
    if rows == 0:  # which datasets itself takes for damage
        raise DataError(f"'{file}' has no rows: give a file with at least one image")


def _folder(path: Path) -> Source:
    # Sorted, so that every machine has one order; hidden files are no pictures (._photo.jpg beside each photo of a Mac).
    files = sorted(file for file in path.rglob("*") if not any(part.startswith((".", "__MACOSX")) for part in file.relative_to(path).parts))
    parquet = [file for file in files if file.suffix == ".parquet"]
    if parquet:
        return _parquet(_by_split(parquet, lambda file: re.split(r"[^A-Za-z]+", file.relative_to(path).as_posix())), path.name)
    pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
    if not pictures:
        raise DataError(f"the folder '{path}' holds no images: put pictures ({', '.join(SUFFIXES[:4])}, ...) or parquet files into it")
    by_split = _by_split(pictures, lambda file: file.relative_to(path).parts[:-1][:1])
    classes = sorted({file.parent.name for file in pictures})

    def load(split: str, streaming: bool) -> Dataset | IterableDataset:
        if "[" in split:
            raise DataError(f"split '{split}' of the folder '{path}': slices are for parquet files and the Hub; use one of {', '.join(by_split)}")
        table = _pictures([file for part in parts(split) for file in by_split.get(part, by_split.get("", []))], classes)
        return table.to_iterable_dataset(num_shards=min(len(table), 64)) if streaming else table

    other = [file for file in files if file.suffix.lower() not in SUFFIXES and file.is_file()]
    kinds = ", ".join(sorted({file.suffix.lower() or file.name for file in other})[:8])
    note = f"left out of {path.name}: {len(other):,} file{'s' if len(other) > 1 else ''} that cannot be read as pictures ({kinds})" if other else ""
    return Source(path.name, tuple(key for key in by_split if key), load, note)


def _by_split(files: list[Path], words: Callable[[Path], Sequence[str]]) -> dict[str, list[Path]]:
    """Files by the first word of theirs that names a split; all of them under "" where none has any."""
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(next((word.lower() for word in words(file) if word.lower() in SPLITS), ""), []).append(file)
    if len(found) > 1 and "" in found:  # beside named splits, the rest is what they were held out of
        found["train"] = sorted(found.get("train", []) + found.pop(""))
    return found


def _pictures(files: list[Path], classes: list[str]) -> Dataset:
    """A table of files; the folder that a picture lies in is its class, where there are several."""
    features = Features({"image": ImageFeature(decode=False)})
    columns: dict[str, list[Any]] = {"image": [{"path": str(file), "bytes": None} for file in files]}
    if len({file.parent for file in files}) > 1:
        features["label"] = ClassLabel(names=classes)
        columns["label"] = [classes.index(file.parent.name) for file in files]
    return Dataset.from_dict(columns, features=features)


def image_column(features: Features, wanted: str | None, name: str) -> str:
    """The column that holds pictures.

    Args:
        wanted: its name, or None for the only one that holds images, or, if there is none, the only one that holds arrays.
    Raises:
        DataError: there is none, or several (the message lists them).
    """
    kinds = {column: _kind(feature) for column, feature in features.items()}
    found = [column for column, kind in kinds.items() if kind == "image"] or [column for column, kind in kinds.items() if kind == "array"]
    listed = ", ".join(f"{column} ({getattr(feature, 'dtype', type(feature).__name__)})" for column, feature in features.items()) or "none"
    if wanted is not None:
        if not kinds.get(wanted):
            raise DataError(f"the data set {name} has no image column '{wanted}': its columns are {listed}; set image_column to one with images")
        return wanted
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataError(f"the data set {name} has no image column: its columns are {listed}; give a data set of images")
    raise DataError(f"the data set {name} has several image columns ({', '.join(found)}): choose one with image_column")


def _kind(feature: Any) -> str:
    """ "image", "array" or "": what a column holds."""
    if isinstance(feature, ImageFeature) or (isinstance(feature, dict) and "bytes" in feature):
        return "image"
    depth, inner = 0, feature
    while hasattr(inner, "feature"):  # lists in lists
        depth, inner = depth + 1, inner.feature
    is_number = isinstance(inner, Value) and not inner.dtype.startswith(("string", "large_string", "binary", "bool", "timestamp", "date"))
    return "array" if hasattr(feature, "shape") or (depth in (2, 3) and is_number) else ""
