"""What the cells say: a table and a figure of quality against steps, from the JSON files alone."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm_space.samplers import SAMPLERS
from training.config import ConfigError
from training.evaluation.cells import REFERENCE
from training.evaluation.frechet import jackknife_error

NEAR = (0.2, 0.1)
"""A distance is near the whole chain's where the 95% interval of their difference ends below this much, or this share of it, whichever is more."""

Z_95 = 1.959964


@dataclass(frozen=True)
class Mean:
    """A distance averaged over seeds, each cell's jackknife error carried along, and the share recognised."""

    value: float
    error: float
    seeds: int
    recognised: float | None

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.error:.2f}"


class Findings:
    """The cells of a folder.

    Raises:
        ConfigError: there are none, or they belong to different weights, numbers of images or features.
    """

    def __init__(self, folder: Path) -> None:
        self.by_name = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in sorted((folder / "cells").glob("*.json"))}
        self.cells = list(self.by_name.values())
        if not self.cells:
            raise ConfigError(f"there are no cells in '{folder}': measure them first, without --report")
        self.sha256 = self._one("weights_sha256", self.cells)
        for key in ("chain_sha256", "data_sha256"):
            self._one(key, self.cells)
        self.T = self._one("T", self.cells)
        drawn = [cell for cell in self.cells if cell["kind"] != "bits"]
        self.n, self.features = self._one("n", drawn), self._one("features", drawn)
        self.images = self._one("n", [cell for cell in self.cells if cell["kind"] == "bits"])
        self.distance = drawn[0]["distance"] if drawn else ""

    def _one(self, key: str, cells: Sequence[dict[str, Any]]) -> Any:
        found = Counter(cell.get(key) for cell in cells)
        if len(found) > 1:
            rarest = found.most_common()[-1][0]
            names = [name for name, cell in self.by_name.items() if cell in cells and cell.get(key) == rarest]
            counts = ", ".join(f"{value}: {count}" for value, count in found.most_common())
            some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise ConfigError(
                f"the cells were measured with different {key} ({counts}): measure the old ones again, or delete them; of {rarest} are {some}"
            )
        return next(iter(found), None)

    def steps(self) -> list[int]:
        """All numbers of steps that there are cells of, ascending."""
        return sorted({cell["steps"] for cell in self.cells if cell["steps"]})

    def mean(self, kind: str, sampler: str, steps: int) -> Mean | None:
        """The distance of a sampler at so many steps; None where it was not measured."""
        found = self._by_seed(kind, sampler, steps).values()
        if not found:
            return None
        values, errors = zip(*((cell["frechet"]["value"], cell["frechet"]["error"]) for cell in found))
        shares = [cell["recognised"] for cell in found if "recognised" in cell]
        error = math.sqrt(sum(error**2 for error in errors)) / len(found)
        return Mean(sum(values) / len(values), error, len(found), sum(shares) / len(shares) if shares else None)

    def bits(self, sampler: str, steps: int) -> tuple[float, float] | None:
        """Bits/dim of a chain and its standard error over the images."""
        for cell in self.cells:
            if (cell["kind"], cell["sampler"], cell["steps"]) == ("bits", sampler, steps):
                return cell["bits_per_dim"]["total"]["mean"], cell["bits_per_dim"]["total"]["standard_error"]
        return None

    def whole(self) -> Mean | None:
        """The whole chain, which the others are compared with; None where it was not measured."""
        return self.mean("samples", REFERENCE, self.T) if self.T else None

    def _by_seed(self, kind: str, sampler: str, steps: int) -> dict[int, dict[str, Any]]:
        return {cell["seed"]: cell for cell in self.cells if (cell["kind"], cell["sampler"], cell["steps"]) == (kind, sampler, steps)}

    def above_whole(self, sampler: str, steps: int) -> tuple[float, float] | None:
        """How much further than the whole chain's samples those of a sampler are, and the standard error of this difference.

        Cells of one seed have their noise in common, and so is part of their error: the difference is taken between these, and the jackknife goes
        through both at once.
        """
        mine, whole = self._by_seed("samples", sampler, steps), self._by_seed("samples", REFERENCE, self.T or 0)
        pairs = [(mine[seed], whole[seed]) for seed in sorted(mine.keys() & whole.keys())]
        if not pairs or mine == whole:
            return None
        differences = [a["frechet"]["value"] - b["frechet"]["value"] for a, b in pairs]
        errors = [jackknife_error([x - y for x, y in zip(a["left_out"], b["left_out"])]) for a, b in pairs]
        return sum(differences) / len(pairs), math.sqrt(sum(error**2 for error in errors)) / len(pairs)

    def is_near(self, sampler: str, steps: int) -> bool | None:
        """Whether a distance is near the whole chain's, with 95% of the difference's interval; None where there is nothing to compare with."""
        above, whole = self.above_whole(sampler, steps), self.whole()
        if above is None or whole is None:
            return None
        return above[0] + Z_95 * above[1] <= max(NEAR[0], NEAR[1] * whole.value)


def write_report(folder: Path) -> list[Path]:
    """Write summary.md, table.md, and figure.svg where matplotlib is installed; returns the files."""
    findings = Findings(folder)
    summary, table = folder / "summary.md", folder / "table.md"
    summary.write_text(as_summary(findings), encoding="utf-8")
    table.write_text(as_table(findings), encoding="utf-8")
    figure = draw(findings, folder / "figure.svg")
    return [summary, table, *([figure] if figure else [])]


def as_summary(findings: Findings) -> str:
    """One row a sampler, one column a number of steps: the distances, those near the whole chain's, and its own, in bold."""
    steps = sorted({cell["steps"] for cell in findings.cells if cell["kind"] == "samples"})
    lines = [f"| sampler | {' | '.join(f'{number:,} steps' for number in steps)} |", f"|---{'|---' * len(steps)}|"]
    for name, sampler in SAMPLERS.items():
        found = [findings.mean("samples", name, number) for number in steps]
        marks = ["**" if findings.is_near(name, number) or (name, number) == (REFERENCE, findings.T) else "" for number in steps]
        if any(found):
            lines.append(f"| {sampler.words} | {' | '.join(f'{mark}{mean}{mark}' if mean else '' for mean, mark in zip(found, marks))} |")
    return "\n".join(lines) + "\n"


def as_table(findings: Findings) -> str:
    """One row a sampler and number of steps, in Markdown, with what it was measured on."""
    real = findings.mean("real", "held-out", 0)
    of_bits = f", bits/dim on {findings.images} held-out images of chains with a bound" if findings.images else ""
    lines = [
        f"{findings.distance} to the training set (features: {findings.features}, n = {findings.n:,}; standard errors by the jackknife), share "
        f"recognised with confidence >= 0.9{of_bits}. Weights {findings.sha256[:12]}.",
        "Above the whole chain: the difference of two sets drawn from the same noise. Near: its 95% interval ends below "
        f"{NEAR[0]} or {NEAR[1]:.0%} of the whole chain's distance.",
        "",
        "| sampler | steps | distance | seeds | above the whole chain | near | recognised | bits/dim |",
        "|---|---|---|---|---|---|---|---|",
    ]
    if real is not None:
        lines.append(f"| real held-out images (the floor) | | {real} | {real.seeds} | | | {_share(real)} | |")
    for name, sampler in SAMPLERS.items():
        for steps in findings.steps():
            found, bits = findings.mean("samples", name, steps), findings.bits(name, steps)
            if found is None and bits is None:
                continue
            above = findings.above_whole(name, steps)
            more = ["", ""] if above is None else [f"{above[0]:+.2f} ± {above[1]:.2f}", "yes" if findings.is_near(name, steps) else "no"]
            cells = ["", "", *more, ""] if found is None else [str(found), str(found.seeds), *more, _share(found)]
            lines.append(f"| {sampler.words} | {steps} | {' | '.join(cells)} | {f'{bits[0]:.4f} ± {bits[1]:.4f}' if bits else ''} |")
    return "\n".join(lines) + "\n"


def _share(found: Mean) -> str:
    return "" if found.recognised is None else f"{found.recognised:.1%}"


def draw(findings: Findings, file: Path) -> Path | None:
    """Distance against steps, both on logarithmic axes, with 95% intervals; None where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("svg")
    # The same file for the same cells.
    matplotlib.rcParams["svg.hashsalt"] = "ddpm_space"
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter, LogLocator

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for (name, sampler), marker in zip(SAMPLERS.items(), "osD^vX*P"):
        points = [(steps, found) for steps in findings.steps() if (found := findings.mean("samples", name, steps)) is not None]
        if points:
            steps, means = zip(*points)
            axes.errorbar(
                steps,
                [mean.value for mean in means],
                yerr=[Z_95 * mean.error for mean in means],
                label=sampler.words,
                marker=marker,
                markersize=5,
                capsize=2,
                linewidth=1.2,
            )
    real = findings.mean("real", "held-out", 0)
    if real is not None:
        axes.axhline(real.value, color="0.35", linestyle="--", linewidth=1, label="real held-out images")
    axes.set(xscale="log", yscale="log", xlabel="steps (calls of the network)", ylabel=f"{findings.distance}, n = {findings.n:,} (95% intervals)")
    axes.set_xticks(findings.steps(), [str(steps) for steps in findings.steps()])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return file
