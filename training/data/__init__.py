"""The pictures of a run: what is trained on, and what is held out of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import torch
from datasets import Dataset, Features, IterableDataset, ReadInstruction
from datasets.distributed import split_dataset_by_node

from training.config import TrainConfig
from training.data.hub_sets import loading
from training.data.image_sets import ImageSet, LooseImageSet, Pictures, read_table
from training.data.picture_rows import processes_here, undecoded
from training.data.pictures import DataError, Decoder
from training.data.sources import Source, find_source, image_column, parts
from training.data.stream import ImageStream

__all__ = ["DataError", "ImageSet", "ImageStream", "LooseImageSet", "Pictures", "TrainingData", "load_images", "open_data"]


@dataclass
class TrainingData:
    """What a run reads.

    Args:
        train: what it learns from. held_out: what it must not learn from, in memory or on disk, never a stream; None if there is none.
        name: of the data set, for model cards. notes: what the user should know, a sentence each.
    """

    train: ImageSet | LooseImageSet | ImageStream
    held_out: ImageSet | LooseImageSet | None
    name: str
    notes: list[str] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """Broken pictures that were left out so far."""
        return self.train.skipped + (self.held_out.skipped if self.held_out else 0)


def load_images(
    source: str, *, split: str = "train", channels: int = 1, size: int = 28, image_column: str | None = None, crop: str = "center"
) -> ImageSet:
    """Read a data set into memory.

    Args:
        source: "bundled" (the small MNIST of this repository), a parquet file, a folder of parquet files, a folder of pictures
            (sub-folders are classes), or the id of a data set on the Hub.
        split: "train" or "test", or what the set calls it; a single file is one split whatever its name.
        channels: 1 (gray), 3 (RGB), 4 (RGB and transparency), or those of a column of arrays. size: height and width.
        crop: "center" (the middle square of other pictures, resampled) or "stretch". image_column: by default the only one that holds images.
    Returns:
        the pictures, and their labels where the set has an integer column `label`.
    Raises:
        DataError: nothing there, no such split, no image column, an empty set, a broken picture.
    """
    if crop == "random":
        raise DataError("crop = 'random': pictures in memory are all of one size; use center or stretch, or open_data")
    found = find_source(source)
    table = found.open(split)
    assert isinstance(table, Dataset)
    images = read_table(table, Decoder(channels, size, crop), found.name, column=image_column)
    assert isinstance(images, ImageSet)  # all of one size, and as much memory as they need
    return images


def open_data(config: TrainConfig, *, rank: int = 0, world: int = 1) -> TrainingData:
    """Open the pictures that a run's options name.

    Any number of processes may call it at the same time, on one machine too: what is downloaded is locked by datasets, and nothing else is
    written. Each keeps its own copy of the decoded pictures, and memory_limit_gb is for all of a machine's together.

    Args:
        rank, world: this process and how many there are: each gets its own share of a stream; sets with numbered rows are the same everywhere,
            and their positions in the run say who reads which.
    Raises:
        DataError: nothing there, no such split, no image column, an empty set, a broken picture.
    """
    source = find_source(config.dataset, config=config.dataset_config, revision=config.dataset_revision)
    if config.streaming:
        return _open_stream(config, source, rank, world)
    table, notes = source.open(config.dataset_split), [source.note] if source.note else []
    assert isinstance(table, Dataset)
    held_table, rows, held_rows, held_name = table, torch.arange(len(table)), torch.arange(0), f"{source.name}, held out of {config.dataset_split}"
    if _has_own_split(config, source, table):
        held_name = f"{source.name}, {config.eval_split}"
        opened = source.open(config.eval_split)
        assert isinstance(opened, Dataset)
        held_table, held_rows = opened, torch.arange(len(opened))
    elif config.eval_images:
        # Of a small set no more than a tenth is given up; one picture alone would have no error bar.
        count = min(config.eval_images, len(table) // 10)
        rows, held_rows = _drawn_out(rows, count if count >= min(2, config.eval_images) else 0, config.seed)
        notes.append(_about_held_out(config, source, len(held_rows), "drawn with the seed, "))
    memory = config.memory_limit_gb * 1e9 / processes_here()
    train = _read(config, table, source.name, rows, memory)
    if isinstance(train, LooseImageSet) and train.is_on_disk:
        notes.append(
            f"the {len(train):,} pictures of {train.name} take more than memory_limit_gb = {config.memory_limit_gb:g} GB decoded"
            f"{f' for {processes_here()} processes' if processes_here() > 1 else ''}: they are decoded whenever they are drawn"
        )
    held_out = _read(config, held_table, held_name, held_rows, memory - train.nbytes) if len(held_rows) else None
    data = TrainingData(train, held_out, source.name, notes)
    if data.skipped:
        notes.append(f"{data.skipped:,} of the pictures of {source.name} cannot be read: left out")
    return data


def _read(config: TrainConfig, table: Dataset, name: str, rows: torch.Tensor | None, memory: float) -> ImageSet | LooseImageSet:
    decoder = Decoder(config.channels, config.resolution, config.crop)
    return read_table(table, decoder, name, column=config.image_column, rows=rows, memory=memory, skip_broken=config.skip_broken, flip=config.flip)


def _has_own_split(config: TrainConfig, source: Source, table: Dataset | IterableDataset) -> bool:
    """Whether eval_split is wanted, there, and shares no picture with what is trained on."""
    if not (config.eval_images or config.eval_samples) or not source.has(config.eval_split):
        return False
    if not set(parts(config.eval_split)) & set(parts(config.dataset_split)):
        return True
    lengths = {name: split.num_examples for name, split in (table.info.splits or {}).items()}
    if config.streaming or not lengths:
        return False
    train, held = (ReadInstruction.from_spec(split).to_absolute(lengths) for split in (config.dataset_split, config.eval_split))
    return not any(a.splitname == b.splitname and a.from_ < b.to and b.from_ < a.to for a in train for b in held)


def _drawn_out(rows: torch.Tensor, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Split rows into those that stay and `count` others, both in their old order."""
    chosen = torch.zeros(len(rows), dtype=torch.bool)
    chosen[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:count]] = True
    return rows[~chosen], rows[chosen]


def _about_held_out(config: TrainConfig, source: Source, count: int, which: str) -> str:
    has = f" (it has {', '.join(source.splits)}; eval_split chooses one)" if source.splits else ""
    missing = f"no split '{config.eval_split}' beside '{config.dataset_split}'{has}"
    if count == 0:
        return f"the data set {source.name} has {missing}, and too few pictures to hold any out: nothing can be evaluated on unseen ones"
    return f"the data set {source.name} has {missing}: {count:,} of its pictures, {which}are held out of training"


def _open_stream(config: TrainConfig, source: Source, rank: int, world: int) -> TrainingData:
    what = f"the stream of {source.name}"
    stream = source.open(config.dataset_split, streaming=True)
    assert isinstance(stream, IterableDataset)
    stream = loading(lambda: _with_features(stream, source.name), what)
    column, notes = image_column(stream.features, config.image_column, source.name), [source.note] if source.note else []
    count, held_stream, held_name = config.eval_images, stream, f"{source.name}, held out of {config.dataset_split}"
    # Shared out first: then each process leaves out as many of its own share, and all that are held out are among them. The other way round datasets
    # shares out that number too, and the process that reads the first file learns from what is held out.
    files, stream = stream.num_shards, split_dataset_by_node(stream, rank, world)
    has_own_split = _has_own_split(config, source, stream)
    if has_own_split:
        held_stream, held_name = source.open(config.eval_split, streaming=True), f"{source.name}, {config.eval_split}"
        count = max(config.eval_images, config.eval_samples)
    elif count:
        stream = stream.skip(count)
        notes.append(_about_held_out(config, source, count, "the first of the stream, "))
    held_out = None
    if count:
        held_stream = undecoded(loading(lambda: _with_features(held_stream, held_name), what), column, config.channels)
        rows = loading(lambda: list(held_stream.take(count + 1)), what)
        if len(rows) <= count and not has_own_split:
            raise DataError(f"{what} has {len(rows):,} pictures, and eval_images = {count:,} would hold out all of them: lower it")
        held_table = Dataset.from_list(rows[:count], features=held_stream.features)
        held_out = _read(config, held_table, held_name, None, config.memory_limit_gb * 1e9 / processes_here())
    stream = undecoded(stream, column, config.channels)
    if config.shuffle_buffer > 1:
        stream = stream.shuffle(seed=config.seed, buffer_size=config.shuffle_buffer)
    if files % world:
        notes.append(
            f"{source.name} has {files} files for {world} processes: each process reads all of them and keeps its share; "
            "a number of files that the processes divide spares that"
        )
    decoder = Decoder(config.channels, config.resolution, config.crop)
    train = ImageStream(stream, column, decoder, source.name, config.seed, config.flip, config.skip_broken, config.shuffle_buffer, rank, world)
    return TrainingData(train, held_out, source.name, [*notes, train.loses] if train.loses else notes)


def _with_features(stream: IterableDataset, name: str) -> IterableDataset:
    """The stream with the types of its columns, which a set without a card leaves to be seen from its first row."""
    if stream.features is not None:
        return stream
    first = next(iter(stream), None)
    if first is None:
        raise DataError(f"the data set {name} has no rows: give one with at least one image")
    return stream.cast(Features.from_arrow_schema(pa.Table.from_pylist([first]).schema))
