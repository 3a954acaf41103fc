"""Reproduce the two toy rows of table 1 of Sohl-Dickstein et al. 2015, minutes each on 2 CPU cores; the paper's figures beside ours.

    python training/thermo2015.py                        # both, with a table
    python training/thermo2015.py heartbeat --seed 1
    python training/thermo2015.py swiss_roll --noise 0.1 --output roll.json

All figures are bits a sample and larger is better. K may exceed neither the truth nor the best that this chain allows, but by its error.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

if not __package__:  # started as a file: Python then looks for modules beside this file first, where `data` would hide other packages
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
from rich.console import Console
from rich.progress import track

from training.toys2015.chain import Measured, Result, Term, ToyChain, evaluate, summarize, train
from training.toys2015.heartbeat import Heartbeat
from training.toys2015.roll import Roll

Item = TypeVar("Item")


@dataclass(frozen=True)
class Preset:
    """What an experiment runs with, and the paper's figures in bits: K and K - L_null as printed, the truth where the paper has one."""

    steps: int
    learning_rate: float
    samples: int
    paper_K: float
    paper_gain: float
    paper_truth: float | None


PRESETS = {
    "heartbeat": Preset(steps=10_000, learning_rate=3e-3, samples=2_000, paper_K=-2.414, paper_gain=12.024, paper_truth=-2.322),
    "swiss_roll": Preset(steps=6_000, learning_rate=1e-2, samples=20_000, paper_K=2.35, paper_gain=6.45, paper_truth=None),
}


def make_chain(experiment: str, noise: float | None = None) -> ToyChain:
    """The chain of an experiment; `noise` is the swiss roll's."""
    if experiment == "heartbeat":
        if noise is not None:
            raise ValueError(f"noise = {noise} is an option of swiss_roll: the heartbeat has none")
        return Heartbeat()
    return Roll() if noise is None else Roll(noise=noise)


def run(chain: ToyChain, *, steps: int, learning_rate: float, samples: int, seed: int) -> Result:
    """Train and measure, with progress on stderr.

    Args:
        steps: of the optimizer; samples: draws for each term of K; seed: fixes every draw.
    """
    start, start_cpu, generator = time.monotonic(), time.process_time(), torch.Generator().manual_seed(seed)
    network = chain.network(generator)
    training = train(chain, network, steps=steps, learning_rate=learning_rate, generator=generator)
    for _ in shown(training, f"{chain.name}: training", steps):
        pass
    terms: list[Term] = list(shown(evaluate(chain, network, samples=samples, generator=generator), f"{chain.name}: measuring", chain.num_steps - 1))
    return replace(summarize(chain, terms), seconds=time.monotonic() - start, cpu_seconds=time.process_time() - start_cpu)


def shown(items: Iterable[Item], label: str, total: int, every: float = 15.0) -> Iterator[Item]:
    """Pass the items on and show how far it is: a bar on a terminal, elsewhere a line every 15 seconds."""
    if sys.stderr.isatty():
        yield from track(items, label, total, console=Console(stderr=True))
        return
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        if time.monotonic() - last > every:
            last = time.monotonic()
            print(f"{label} {done}/{total}", file=sys.stderr, flush=True)
        yield item


def table(result: Result) -> str:
    """The paper's figures and ours, side by side."""
    paper = PRESETS[result.experiment]
    truth = "exact" if result.experiment == "heartbeat" else "by quadrature"
    rows: list[tuple[str, float | None, float, str]] = [
        ("K", paper.paper_K, result.K.value, _error(result.K)),
        ("L_null", paper.paper_K - paper.paper_gain, result.L_null, "exact"),
        ("K - L_null", paper.paper_gain, result.gain.value, _error(result.gain)),
        ("truth, -H(X_0)", paper.paper_truth, result.truth, truth),
        ("best K of this chain", None, result.best.value, _error(result.best)),
        ("K by the forward route", None, result.forward.value, _error(result.forward)),
        ("truth - K", None, result.truth - result.K.value, _error(result.K)),
        ("  the fixed last step's part", None, result.last_step, truth),
        ("  the chain's end's part", None, result.chain_end, truth),
    ]
    lines = [f"{f'{result.experiment}, bits a sample':30} {'paper':>8} {'ours':>10}   error"]
    for name, theirs, ours, error in rows:
        lines.append(f"{name:30} {'' if theirs is None else f'{theirs:.3f}':>8} {ours:>10.3f}   {error}")
    lines.append(
        f"{len(result.terms):,} terms, {result.samples:,} independent draws each; {result.seconds:.0f} s, {result.cpu_seconds:.0f} s of CPU time"
    )
    if result.experiment == "swiss_roll":
        lines.append("The paper's roll had another noise and scale, which it does not give: its K is there for orientation only.")
    return "\n".join(lines)


def _error(value: Measured) -> str:
    return f"± {value.error:.3f}"


def as_json(results: list[Result], settings: list[dict[str, Any]]) -> str:
    """The results with every term, rounded well below their errors, each with the settings that give it again."""

    def rounded(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.6g}")
        if isinstance(value, (list, tuple)):
            return [rounded(item) for item in value]
        return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value

    documents = []
    for result, used in zip(results, settings):
        paper = PRESETS[result.experiment]
        terms = {"terms": [[float(f"{value:.4g}"), float(f"{error:.2g}")] for value, error in result.terms]}
        published = {"K": paper.paper_K, "gain": paper.paper_gain, "truth": paper.paper_truth}
        times = {"seconds": round(result.seconds), "cpu_seconds": round(result.cpu_seconds)}
        documents.append({**rounded(asdict(result)), **terms, **times, "paper": published, "settings": used})
    return json.dumps({"unit": "bits a sample", "results": documents}) + "\n"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read and check the command line.

    Raises:
        ValueError: an option that cannot work, by name and value.
    """
    parser = argparse.ArgumentParser(
        prog="thermo2015.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("experiment", nargs="?", choices=[*PRESETS, "both"], default="both")
    parser.add_argument("--steps", type=int, help="optimizer steps (default: 10,000 and 6,000)")
    parser.add_argument("--samples", type=int, help="independent draws for each term of K (default: 2,000 and 20,000)")
    parser.add_argument("--noise", type=float, help="of the swiss roll, in units in which E|x_0|^2 = 2 (default: 0.05)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="write the results with every term to this JSON file")
    options = parser.parse_args(arguments)
    for name, least in (("steps", 2), ("samples", 2), ("seed", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise ValueError(f"--{name} {value}: use {least} or more")
    if options.output is not None and not options.output.resolve().parent.is_dir():
        raise ValueError(f"--output {options.output}: there is no folder {options.output.resolve().parent}")
    if options.output is not None and options.output.is_dir():
        raise ValueError(f"--output {options.output} is a folder: name the file to write in it, such as {options.output / 'thermo2015.json'}")
    return options


def main(options: argparse.Namespace) -> list[Result]:
    """Run what was asked for, print each table as soon as it is there, and write the file.

    Raises:
        ValueError: an option that does not fit the experiment, a file that cannot be written.
    """
    names = list(PRESETS) if options.experiment == "both" else [options.experiment]
    chains = [make_chain(name, options.noise if name == "swiss_roll" or options.experiment != "both" else None) for name in names]
    results, settings = [], []
    for chain in chains:
        preset = PRESETS[chain.name]
        steps, samples, rate = options.steps or preset.steps, options.samples or preset.samples, preset.learning_rate
        results.append(run(chain, steps=steps, learning_rate=rate, samples=samples, seed=options.seed))
        settings.append({**chain.settings, "steps": steps, "learning_rate": rate, "seed": options.seed})
        print(table(results[-1]), end="\n\n", flush=True)
    if options.output is not None:
        try:
            options.output.write_text(as_json(results, settings), encoding="utf-8")
        except OSError as error:
            reason = error.strerror or error
            raise ValueError(f"--output {options.output}: not written ({reason}); the tables above stand, name a file that can be written") from error
    return results


def command_line(arguments: list[str] | None = None) -> int:
    """Run as a command; returns the exit status."""
    try:
        main(parse(arguments))
    except ValueError as error:
        print(f"thermo2015.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("thermo2015.py: stopped; no file was written", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(command_line())
