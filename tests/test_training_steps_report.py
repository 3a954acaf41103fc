"""The report of quality against steps, from cells written by hand: averages, what is near the whole chain, and what is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from training import quality
from training.config import ConfigError
from training.evaluation.steps_report import Findings, as_table, write_report


def written(folder: Path, sampler: str, steps: int, seed: int, value: float, error: float, kind: str = "samples") -> None:
    """A cell of two groups of images, the second of which is further by the error: half their difference is the jackknife's error of two."""
    content = {
        **{
            "kind": kind,
            "sampler": sampler,
            "steps": steps,
            "seed": seed,
            "weights_sha256": "abc",
            "chain_sha256": "d",
            "n": 2000,
            "features": "some",
        },
        "T": 1000,
        **{"distance": "Fréchet distance", "frechet": {"value": value, "error": error}, "recognised": 0.5},
        "left_out": [value - error, value + error],
    }
    (folder / "cells").mkdir(exist_ok=True)
    (folder / "cells" / f"{sampler}{steps}{seed}.json").write_text(json.dumps(content), encoding="utf-8")


def test_the_report_averages_and_says_what_is_near(tmp_path: Path) -> None:
    written(tmp_path, "held-out", 0, 0, 0.8, 0.05, "real")
    written(tmp_path, "ddpm-small", 1000, 0, 1.0, 0.02)
    for seed, value in enumerate((1.05, 1.15, 1.1)):
        written(tmp_path, "ddim", 20, seed, value, 0.03)
    written(tmp_path, "dpm-solver++", 20, 0, 1.15, -0.03)
    written(tmp_path, "sde-dpm-solver++", 20, 0, 1.17, 0.03)
    written(tmp_path, "sde-dpm-solver++", 10, 1, 1.17, 0.03)
    findings = Findings(tmp_path)
    mean = findings.mean("samples", "ddim", 20)
    assert mean is not None and mean.value == pytest.approx(1.1) and mean.error == pytest.approx(0.03 / math.sqrt(3)) and mean.seeds == 3
    assert findings.above_whole("ddim", 20) == pytest.approx((0.05, 0.01)), "of the seed that both have"
    assert findings.above_whole("ddpm-small", 1000) is None
    table = as_table(findings)
    assert "| DDIM (diffusers) | 20 | 1.10 ± 0.02 | 3 | +0.05 ± 0.01 | yes | 50.0% |" in table
    # What chance does to both is not in the difference: 0.17 + 1.96 x 0.01 < 0.2, but apart 0.17 + 1.96 x 0.036 > 0.2; and 0.15 + 1.96 x 0.05 > 0.2.
    assert "| SDE-DPM-Solver++ 2M (diffusers) | 20 | 1.17 ± 0.03 | 1 | +0.17 ± 0.01 | yes | 50.0% |" in table
    assert "| DPM-Solver++ 2M (diffusers) | 20 | 1.15 ± 0.03 | 1 | +0.15 ± 0.05 | no | 50.0% |" in table
    assert "| SDE-DPM-Solver++ 2M (diffusers) | 10 | 1.17 ± 0.03 | 1 |  |  | 50.0% |" in table, "another seed's noise is not the whole chain's"
    summary, whole, *drawn = write_report(tmp_path)
    assert whole.read_text(encoding="utf-8") == table
    assert summary.read_text(encoding="utf-8").splitlines() == [
        "| sampler | 10 steps | 20 steps | 1,000 steps |",
        "|---|---|---|---|",
        "| DDPM, variance beta_tilde |  |  | **1.00 ± 0.02** |",
        "| DDIM (diffusers) |  | **1.10 ± 0.02** |  |",
        "| DPM-Solver++ 2M (diffusers) |  | 1.15 ± 0.03 |  |",
        "| SDE-DPM-Solver++ 2M (diffusers) | 1.17 ± 0.03 | **1.17 ± 0.03** |  |",
    ]
    for figure in drawn:  # matplotlib is there
        before = figure.read_bytes()
        assert b"<svg" in before
        write_report(tmp_path)
        assert figure.read_bytes() == before


def test_nothing_is_compared_with_a_chain_that_is_not_whole(tmp_path: Path) -> None:
    written(tmp_path, "ddpm-small", 250, 0, 1.0, 0.02)
    written(tmp_path, "ddim", 20, 0, 1.1, 0.03)
    findings = Findings(tmp_path)
    assert findings.whole() is None and findings.above_whole("ddim", 20) is None and findings.is_near("ddim", 20) is None
    assert "| DDIM (diffusers) | 20 | 1.10 ± 0.03 | 1 |  |  | 50.0% |" in as_table(findings)


def test_cells_of_other_weights_are_named(tmp_path: Path) -> None:
    for steps in (5, 10, 20):
        written(tmp_path, "ddim", steps, 0, 1.1, 0.03)
    old = tmp_path / "cells" / "ddim100.json"
    old.write_text(old.read_text(encoding="utf-8").replace('"abc"', '"old"'), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"different weights_sha256 \(abc: 2, old: 1\): .* or delete them; of old are ddim100.json"):
        Findings(tmp_path)
    old.unlink()
    assert "None" not in as_table(Findings(tmp_path)), "nor is it said on how many images no bits/dim were measured"


def test_a_report_of_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there are no cells"):
        quality.main(["--folder", str(tmp_path), "--report"])
