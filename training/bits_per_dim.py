"""Bits per dimension of a model on held-out images: all T terms of the bound, term by term, and how well a tenth of them would have told it.

    python training/bits_per_dim.py --model bundled:mnist --dataset bundled --images 128 --output bound.parquet
    python training/bits_per_dim.py --table bound.parquet
    python training/bits_per_dim.py --model runs/mnist/model --dataset ylecun/mnist --estimate 100

The first takes about T x images evaluations of the network and writes them into a table; the second reads such a table and asks no network; the third
evaluates only the given number of terms an image. Every figure comes with its standard error and the conventions it was taken under.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.progress import Progress

from ddpm_space.bound import PARTS, Bound, full_bound
from ddpm_space.likelihood import BOUND_VARIANCES
from ddpm_space.models import LoadedModel, load, locate
from ddpm_space.pipeline_folder import MAIN_WEIGHTS
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.stratified import BoundEstimate, Strata, estimate, estimated_bound
from training.data import ImageSet, load_images
from training.data.sources import find_source

CONFIDENCE_95 = 1.959964
SHOWN_RATES = 12


@dataclass(frozen=True)
class Resampling:
    """The stratified estimator tried `times` times on a table that holds every term.

    evaluations: terms an image of `steps`; bias: mean estimate minus the table's own mean, bits/dim, with its standard error; spread: the estimates'
    standard deviation, promised: the root mean square of the standard errors they came with; coverage: share of 95% intervals that hold the table's
    mean over the images, coverage_image: the same for single images.
    """

    times: int
    evaluations: int
    steps: int
    bias: float
    bias_error: float
    spread: float
    promised: float
    coverage: float
    coverage_image: float

    def __str__(self) -> str:
        return (
            f"stratified estimate, {self.evaluations} of {self.steps} terms an image, drawn {self.times} times from the table:\n"
            f"  bias {self.bias:+.6f} +- {self.bias_error:.6f} bits/dim; standard deviation {self.spread:.5f}, promised {self.promised:.5f}\n"
            f"  95% intervals that hold the mean over the images: {self.coverage:.1%}; for single images: {self.coverage_image:.1%}"
        )


def resample(bound: Bound, *, times: int = 500, evaluations: int | None = None, seed: int = 0) -> Resampling:
    """Draw the stratified estimate again and again from a table of all terms, and compare it with their sum.

    Args:
        bound: all terms; evaluations: terms an image, default a tenth of all.
    """
    strata = Strata.of(bound.schedule, evaluations or max(3, len(bound.schedule) // 10))
    images, truth = bound.nats.shape[1], bound.per_image()
    certain, generator = bound.prior_nats + bound.nats[0], torch.Generator().manual_seed(seed)
    column, found = torch.arange(images), []
    for _ in range(times):
        values = bound.nats[strata.draw(images, generator), column]
        found.append(estimate(strata, values, certain, bound.num_dims, bound.conventions))
    means, promised = (torch.tensor([getattr(one, name) for one in found], dtype=torch.float64) for name in ("mean", "standard_error"))
    single = torch.stack([(one.per_image - truth).abs() <= CONFIDENCE_95 * one.per_image_error for one in found])
    error = means - float(truth.mean())
    return Resampling(
        times=times,
        evaluations=found[0].evaluations,
        steps=len(bound.schedule),
        bias=float(error.mean()),
        bias_error=float(error.std()) / math.sqrt(times),
        spread=float(error.std()),
        promised=float(promised.square().mean().sqrt()),
        coverage=float((error.abs() <= CONFIDENCE_95 * promised).double().mean()),
        coverage_image=float(single.double().mean()),
    )


def save_table(bound: Bound, path: Path, about: dict[str, object]) -> None:
    """Write every term into a parquet file: a row for each step, a list over the images in each cell; L_T, the betas and `about` as JSON metadata.

    Written beside and moved into place, so that a full disk or a kill leaves no half table.
    """
    columns = {"t": bound.schedule.timesteps.tolist()}
    lists = {name: pa.array(getattr(bound, name).float().tolist(), pa.list_(pa.float32())) for name in ("nats", "eps_mse", "x_0_mse")}
    metadata = {
        "prior_nats": bound.prior_nats.tolist(),
        "betas": bound.schedule.beta.tolist(),
        "schedule": bound.schedule.name,
        "num_dims": bound.num_dims,
        "conventions": bound.conventions,
        **about,
    }
    table = pa.table({**columns, **lists}).replace_schema_metadata({"bound": json.dumps(metadata)})
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        pq.write_table(table, unfinished, compression="zstd")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_table(path: Path) -> tuple[Bound, dict[str, object]]:
    """Read what `save_table` wrote: the bound, and everything else that was noted.

    Raises:
        ValueError: not such a table.
    """
    try:
        table = pq.read_table(path)
        about = json.loads(table.schema.metadata[b"bound"])
        nats, eps_mse, x_0_mse = (torch.tensor(table[name].to_pylist(), dtype=torch.float64) for name in ("nats", "eps_mse", "x_0_mse"))
        schedule = NoiseSchedule(torch.tensor(about.pop("betas"), dtype=torch.float64), about.pop("schedule"), torch.tensor(table["t"].to_pylist()))
        prior = torch.tensor(about.pop("prior_nats"), dtype=torch.float64)
        return Bound(schedule, nats, prior, eps_mse, x_0_mse, about.pop("num_dims"), about.pop("conventions")), about
    except (OSError, KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise ValueError(f"'{path}' is not a table that this script wrote ({error}): make one with --output") from error


def report(bound: Bound) -> str:
    """The bound's parts with standard errors, the rate-distortion curve, and the conventions, as lines to print."""
    names = {"L_T": "L_T", "L_t-1": "sum of L_{t-1}", "L_0": "L_0", "total": "total"}
    images = bound.nats.shape[1]
    lines = [f"bits/dim on {images} images, all {len(bound.schedule)} terms (+- standard error over the images)"]
    lines += [f"  {names[part]:16} {bound.mean(part).mean:10.6f} +- {bound.mean(part).standard_error:.6f}" for part in PARTS]
    rate, distortion = bound.rate(), bound.mean("L_0")
    lines.append(
        f"  rate {rate.mean:.4f} +- {rate.standard_error:.4f}, distortion L_0 {distortion.mean:.4f} +- {distortion.standard_error:.4f} bits/dim"
    )
    lines += ["as a lossy code, cut after x_t:", "       t   rate bits/dim   RMSE (0..255)"]
    curve = bound.rate_distortion()
    chosen = sorted({round(i * (len(curve) - 1) / (SHOWN_RATES - 1)) for i in range(SHOWN_RATES)})
    lines += [f"    {curve[i].t:4}      {curve[i].rate:10.5f}      {curve[i].rmse:10.3f}" for i in chosen]
    return "\n".join([*lines, f"conventions: {bound.conventions}"])


def report_estimate(found: BoundEstimate) -> str:
    """The estimate with both of its errors, as lines to print."""
    return (
        f"bits/dim on {len(found.per_image)} images, estimated from {found.evaluations} terms an image: {found.mean:.6f}\n"
        f"  +- {found.standard_error:.6f} for the terms left out (these images), +- {found.image_error:.6f} for the choice of images as well\n"
        f"conventions: {found.conventions}"
    )


def held_out(model: LoadedModel, source: str, split: str, count: int, seed: int) -> tuple[torch.Tensor, ImageSet, list[int]]:
    """`count` images of a split, chosen at random: (count, C, H, W) in [-1, 1], the set, and their row numbers.

    Raises:
        ValueError: more images than the split has, or none.
    """
    images = load_images(source, split=split, channels=model.channels, size=model.sample_size)
    if not 2 <= count <= len(images):
        raise ValueError(f"--images {count}: use 2 (an error bar needs them) to {len(images)}, as many as {images.name} has in split '{split}'")
    rows = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    return images.batch(rows), images, rows.tolist()


def weights_hash(source: str) -> str:
    """SHA-256 of the main weights' file, or of all of them in the order of their names: what a stored table belongs to."""
    folder, _ = locate(source)
    inner = folder / "unet"
    digest = hashlib.sha256()
    place = inner if inner.is_dir() else folder
    for weights in sorted(path for pattern in MAIN_WEIGHTS for path in place.glob(pattern) if path.suffix == ".safetensors"):
        digest.update(weights.read_bytes())
    return digest.hexdigest()


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="bundled:mnist", help="pipeline folder, Hub id, or bundled:mnist")
    parser.add_argument("--dataset", default="bundled", help="'bundled', a parquet file, a folder, or the id of a data set on the Hub")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=128, help="how many, chosen at random by --seed")
    parser.add_argument("--variance", choices=BOUND_VARIANCES, help="default: what the network learned, else fixed_small")
    parser.add_argument("--no_clip", action="store_true", help="leave the predicted x_0 unclipped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, help="write all terms into this parquet file")
    parser.add_argument("--estimate", type=int, metavar="N", help="evaluate only N terms an image")
    parser.add_argument("--table", type=Path, help="read this table instead of asking a model, and try the estimator on it")
    parser.add_argument("--resamples", type=int, default=500, help="how often the estimator is tried on a table")
    chosen = parser.parse_args(arguments)
    if chosen.estimate is not None and (chosen.output or chosen.table):
        parser.error("--estimate takes only some terms: it goes with neither --output nor --table")
    if chosen.output and chosen.output.is_dir():
        parser.error(f"--output {chosen.output}: is a folder; name a file, such as {chosen.output / 'bound.parquet'}")
    if chosen.resamples < 2:
        parser.error(f"--resamples {chosen.resamples}: use at least 2")
    return chosen


def main(arguments: list[str] | None = None) -> None:
    """Take the bound, or read it, and print it."""
    chosen = parse(arguments)
    try:
        _run(chosen)
    except ValueError as error:
        raise SystemExit(f"error: {error}") from error


def _run(chosen: argparse.Namespace) -> None:
    if chosen.table:
        bound, about = read_table(chosen.table)
        print(report(bound))
        print("; ".join(f"{key} {value}" for key, value in about.items() if key != "rows"))
        print(resample(bound, times=chosen.resamples))
        return
    model = load(chosen.model, device=chosen.device)
    x_0, images, rows = held_out(model, chosen.dataset, chosen.split, chosen.images, chosen.seed)
    print(f"data: {images.name}, split '{chosen.split}'")
    if Path(chosen.dataset).expanduser().exists() and not find_source(chosen.dataset).splits:
        print("note: these data have no splits, and nothing shows that the images were not trained on")
    variance = chosen.variance or ("fixed_small" if model.denoiser.with_variance is None else "learned_range")
    x_0, settings = x_0.to(chosen.device), {"variance": variance, "clip_x0": not chosen.no_clip, "seed": chosen.seed}
    if chosen.estimate is not None:
        print(report_estimate(estimated_bound(model.denoiser, x_0, evaluations=chosen.estimate, **settings)))
        return
    sha256 = weights_hash(chosen.model)
    with Progress() as progress:
        task = progress.add_task("terms", total=len(model.denoiser.schedule) + 1)
        bound = full_bound(model.denoiser, x_0, chunk=1, progress=lambda term: progress.advance(task), **settings)
    print(report(bound))
    if chosen.output:
        about = {
            "model": chosen.model,
            "weights_sha256": sha256,
            "dataset": images.name,
            "split": chosen.split,
            "seed": chosen.seed,
        }
        save_table(bound, chosen.output, {**about, "rows": rows})
        print(f"all terms are in {chosen.output}")


if __name__ == "__main__":
    main()
