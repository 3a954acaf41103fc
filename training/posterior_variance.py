"""Estimate what the variance "analytic" and the spacing "optimal" need, once for a model, and store it beside its scheduler.

    python training/posterior_variance.py --model runs/mnist/model
    python training/posterior_variance.py --model bundled:mnist --dataset ylecun/mnist --images 256

At every one of the T training timesteps that many training images are noised and denoised: T x images evaluations of the network. The table is
`scheduler/posterior_variance.json`; plain diffusers does not mind it, and the app and NotesDDPMScheduler read it. A model that is trained on needs a
new one, and one that is on the Hub already is pushed again.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from rich.progress import Progress

from ddpm_space import analytic
from ddpm_space.errors import TextError
from ddpm_space.models import HUB_ID, load, locate
from training.config import ConfigError, make_config
from training.data import DataError, ImageStream, open_data
from training.evaluate import data_options, named_whole


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="posterior_variance.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--model", required=True, help="pipeline folder on this machine, or bundled:NAME")
    parser.add_argument("--dataset", help="as in training; default: what the model was trained on, by its training_config.yaml")
    parser.add_argument("--train_split", help="split to take images from (default: train)")
    parser.add_argument("--images", type=int, default=256, help="noised images at every timestep")
    parser.add_argument("--seed", type=int, default=0, help="of the images and the noise")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> Path:
    """Estimate, write, and say how sure it is; returns the file.

    Raises:
        ConfigError, DataError, ModelError: what cannot be measured or written, before it is tried.
    """
    given = parse(arguments)
    if given.images < 2:
        raise ConfigError(f"--images {given.images}: use at least 2, since a standard error needs a spread")
    if HUB_ID.fullmatch(given.model.partition("@")[0]) and not Path(given.model).is_dir():
        raise ConfigError(
            f"there is no folder '{given.model}': correct the path; download a model of the Hub into a folder first, and push it again afterwards"
        )
    folder = locate(given.model)[0]
    place = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    if not os.access(place, os.W_OK):
        raise ConfigError(f"nothing can be written into '{place}': copy the model into a folder of yours")
    given.test_split = None
    options, notes = data_options(given, folder)
    model = load(given.model, device=given.device)
    # With the run's own eval_images and seed: what it held out is no training image.
    data = open_data(make_config({**options, **named_whole(given), "channels": model.channels, "resolution": model.sample_size}))
    if isinstance(data.train, ImageStream):
        raise ConfigError("the model was trained on a stream, whose images cannot be drawn at random: name the data set with --dataset")
    for note in (*notes, *data.notes):
        print(note)
    train, denoiser = data.train, model.denoiser
    with Progress() as progress:
        task = progress.add_task("timesteps", total=len(denoiser.schedule))
        found = analytic.estimate(
            denoiser,
            lambda rows: train.batch(rows).to(given.device),
            len(train),
            draws=given.images,
            seed=given.seed,
            progress=lambda t: progress.advance(task),
        )
    file = analytic.write(found, place)
    share = (found.standard_error / found.values).median()
    rows = len(found.values)
    print(f"posterior variance of {model.source}: {rows} timesteps, {found.images} images each, error {share:.1%} at the median: {file}")
    return file


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DataError, TextError) as error:
        sys.exit(f"posterior_variance.py: {error}")
