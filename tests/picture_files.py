"""Small pictures and tables of them, for the tests of data sets."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def png(value: int, size: tuple[int, int] = (8, 8), mode: str = "L") -> bytes:
    """A picture of one gray level, or of one red level (mode RGB)."""
    buffer = io.BytesIO()
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def cells(*values: int) -> list[object]:
    """Gray pictures as datasets stores them in a column."""
    return [{"bytes": png(value), "path": f"{value}.png"} for value in values]


def write(path: Path, **columns: list[object]) -> Path:
    """Write a parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)
    return path


def parquet(*values: int) -> bytes:
    """A parquet file of gray pictures with labels, as bytes."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": cells(*values), "label": [value % 3 for value in values]}), buffer)
    return buffer.getvalue()
