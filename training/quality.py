"""Quality against steps: what each step of speed costs, for every sampler, as a table and a figure. Made cell by cell; a run that is stopped goes on.

    python training/quality.py --model runs/mnist/model --folder quality/mnist              # hours on a CPU
    python training/quality.py --model bundled:mnist --dataset ylecun/mnist --folder docs/quality/mnist --report

A cell is one sampler, number of steps and seed: `--samples` images, their Fréchet distance to the training set and the share recognised; or the
bits/dim of one variance and chain, where there is a bound. Its JSON holds the hash of the weights: with other weights it is measured anew. --report
asks no network and writes summary.md, table.md and figure.svg from the cells that are there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from ddpm_space.errors import TextError
from training.config import ConfigError, make_config
from training.data import DataError, ImageStream, open_data
from training.evaluation.cells import Bench, plan
from training.evaluation.steps_report import write_report
from training.loop.processes import say, start_processes


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="quality.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--model", help="pipeline folder, Hub id, or bundled:NAME")
    parser.add_argument("--dataset", help="as in training; default: what the model was trained on, by its training_config.yaml")
    parser.add_argument("--train_split", help="split to compare with (default: train)")
    parser.add_argument("--test_split", help="split held out (default: test)")
    parser.add_argument("--folder", type=Path, required=True, help="where the cells, the table and the figure are")
    parser.add_argument("--samples", type=int, default=2000, help="images of a cell")
    parser.add_argument("--images", type=int, default=128, help="held-out images whose bits/dim are taken, all terms of the chain; 0 for none")
    parser.add_argument("--seeds", type=int, default=3, help="seeds at up to 50 steps; longer chains have one")
    parser.add_argument("--minutes", type=float, help="begin no further cell after so many minutes")
    parser.add_argument("--features", default="auto", choices=("auto", "mnist", "fashion_mnist", "inception"))
    parser.add_argument("--cpu_threads", type=int, default=0, help="0 for all cores")
    parser.add_argument("--report", action="store_true", help="only write the table and the figure")
    chosen = parser.parse_args(arguments)
    if not chosen.report and not chosen.model:
        parser.error("--model is missing: without --report there are cells to measure")
    return chosen


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing, then write the report.

    Raises:
        ConfigError, DataError, ModelError: what cannot be measured, before it is tried.
    """
    from ddpm_space.models import load, locate
    from training.evaluate import data_options, named_whole

    given = parse(arguments)
    if not given.report:
        options, notes = data_options(given, locate(given.model)[0])
        accelerator = start_processes(make_config({"cpu_threads": given.cpu_threads, "mixed_precision": "no"}))
        model = load(given.model, device=str(accelerator.device))
        # The run's own eval_images and seed decide which images were held out of a set without a test split.
        config = make_config({**options, **named_whole(given), "channels": model.channels, "resolution": model.sample_size})
        data = open_data(replace(config, eval_samples=given.samples))
        for note in (*notes, *data.notes):
            say(note)
        if isinstance(data.train, ImageStream) or data.held_out is None:
            raise ConfigError("the distances need a training set in memory and held-out images: name a data set that has both with --dataset")
        bench = Bench(model, data.train, data.held_out, given.folder, given.samples, given.images, given.features, options["dataset"])
        planned = plan(len(model.denoiser.schedule), given.seeds, given.images > 0)
        possible, reasons = bench.sorted_out(planned)
        for reason in reasons:
            say(reason)
        bench.run(possible, say, given.minutes)
    for file in write_report(given.folder):
        say(f"{file} is written")


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, DataError, TextError) as error:
        sys.exit(f"quality.py: {error}")
