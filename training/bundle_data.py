"""Make the small data set and the example pictures that ship with the package, from the full MNIST and Fashion-MNIST.

    python -m training.bundle_data --mnist MNIST_FOLDER --fashion FASHION_FOLDER

Both folders hold train.parquet and test.parquet in the Hub's column layout (image: struct of bytes and path, label: int64), as downloaded from the
data sets `ylecun/mnist` and `zalando-datasets/fashion_mnist`. The first images of each class are taken, in file order: always the same ones.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ASSETS = Path(__file__).resolve().parent.parent / "ddpm_space" / "assets"
PER_CLASS = {"train": 500, "test": 100}
FASHION_EXAMPLES = {"sneaker": 7, "coat": 4}


def first_of_each_class(table: pa.Table, count: int) -> pa.Table:
    """Return the first `count` rows of each of the ten labels, in file order."""
    rows = [index for label in range(10) for index in pc.indices_nonzero(pc.equal(table["label"], label)).to_pylist()[:count]]
    return table.take(sorted(rows))


def write_example(table: pa.Table, label: int, nth: int, path: Path) -> None:
    """Write the nth picture of a label as it is stored."""
    row = pc.indices_nonzero(pc.equal(table["label"], label)).to_pylist()[nth]
    path.write_bytes(table["image"][row].as_py()["bytes"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--fashion", type=Path, required=True)
    options = parser.parse_args()
    data, examples = ASSETS / "data" / "mnist_small", ASSETS / "examples"
    data.mkdir(parents=True, exist_ok=True)
    examples.mkdir(parents=True, exist_ok=True)
    for split, count in PER_CLASS.items():
        pq.write_table(first_of_each_class(pq.read_table(options.mnist / f"{split}.parquet"), count), data / f"{split}.parquet", compression="zstd")
    digits, clothes = pq.read_table(options.mnist / "test.parquet"), pq.read_table(options.fashion / "test.parquet")
    for label in range(10):
        write_example(digits, label, 0, examples / f"digit_{label}.png")
    for name, label in FASHION_EXAMPLES.items():
        write_example(clothes, label, 0, examples / f"{name}.png")


if __name__ == "__main__":
    main()
