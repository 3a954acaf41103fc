"""What was measured of a model, for its card: a table to read, and the same figures as metadata for the Hub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult

TASK = "unconditional-image-generation"
DISTANCES = (("to_train", "floor_train", "train", "the training set"), ("to_held_out", "floor_held_out", "test", "the held-out set"))


def figures_table(evaluation: Mapping[str, Any] | None) -> str:
    """A section with every figure, its error, its n and what real images get in the samples' place; empty if nothing was measured.

    Args:
        evaluation: what `findings.Evaluation.to_dict` gives.
    """
    rows = _bits_rows(evaluation or {}) + _sample_rows(evaluation or {})
    if not evaluation or not rows:
        return ""
    settings, held_out = evaluation.get("settings") or {}, evaluation.get("held_out") or evaluation.get("train")
    said = [f"Bits/dim: {held_out['conventions'].rstrip('.')}; ± is the standard error over images."] if held_out else []
    if evaluation.get("frechet"):
        said.append(
            f"Samples: {settings.get('samples', 0):,} of the averaged weights, {settings.get('steps')} steps, seed {settings.get('seed')}; ± is the "
            f"jackknife's standard error. {'' if evaluation['frechet']['name'] == 'FID' else 'Not FID: those are not the features of Inception. '}"
            "Compare distances of equal n only."
        )
    table = "\n".join(["| | this model | real images instead | images |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)])
    return f"## How good it is\n\n{table}\n\n" + "\n".join(f"- {line}" for line in [*said, *evaluation.get("notes", ())])


def results(evaluation: Mapping[str, Any] | None, data_name: str, dataset: str) -> list[EvalResult]:
    """The figures as the Hub's model-index wants them.

    Args:
        data_name: as it is read; dataset: its id on the Hub, or what stands for one.
    """
    found: list[EvalResult] = []

    def add(kind: str, name: str, split: str, value: float, **how: Any) -> None:
        found.append(
            EvalResult(
                task_type=TASK,
                dataset_type=dataset,
                dataset_name=data_name,
                dataset_split=split,
                metric_type=kind,
                metric_name=name,
                metric_value=_rounded(value),
                metric_args={key: _rounded(what) for key, what in how.items() if what is not None},
            )
        )

    for part, split, words in (("held_out", "test", "held-out"), ("train", "train", "training")):
        bits = (evaluation or {}).get(part)
        if bits:
            how = {"n": bits["n"], "standard_error": bits["error"], "evaluations_per_image": bits["evaluations"]}
            add("bits_per_dim", f"bits/dim, {words} images (n = {bits['n']:,}, variational bound)", split, bits["bits_per_dim"], **how)
    frechet = (evaluation or {}).get("frechet") or {}
    for part, floor, split, words in DISTANCES:
        distance = frechet.get(part)
        if distance:
            kind = "fid" if frechet["name"] == "FID" else "frechet_distance"
            name = f"{frechet['name']} (features: {frechet['features']}, n = {distance['n']:,}) to {words}"
            how = {"n": distance["n"], "reference": distance["reference"], "standard_error": distance["error"]}
            add(kind, name, split, distance["value"], **how, real_images_instead=(frechet.get(floor) or {}).get("value"))
    return found


def _bits_rows(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for part, words in (("held_out", "held-out"), ("train", "training")):
        bits = evaluation.get(part)
        if bits:
            images = f"{bits['n']:,}, {bits['evaluations']:,} terms each"
            rows.append((f"bits/dim, {words} images (an upper bound)", _with_error(bits["bits_per_dim"], bits["error"], 3), "", images))
    return rows


def _sample_rows(evaluation: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    frechet, recognised = evaluation.get("frechet") or {}, evaluation.get("recognised")
    for part, floor, _, words in DISTANCES:
        distance, real = frechet.get(part), frechet.get(floor)
        if distance:
            instead = f"{_with_error(real['value'], real['error'], 2)} (n = {real['n']:,})" if real else ""
            images = f"n = {distance['n']:,}, against {distance['reference']:,}"
            name = f"{frechet['name']} to {words} (features: {frechet['features']})"
            rows.append((name, _with_error(distance["value"], distance["error"], 2), instead, images))
    if recognised:
        real_share = "" if recognised["real"] is None else f"{recognised['real']:.1%} (n = {recognised['real_n']:,})"
        name = f"recognised by that classifier with confidence >= {recognised['confidence']}"
        rows.append((name, f"{recognised['samples']:.1%}", real_share, f"n = {recognised['n']:,}"))
    for near in evaluation.get("memorisation") or ():
        name = f"closer to a training image than a new real image is, {near['space']}"
        rows.append((name, _percent(near["closer"], near["closer_error"]), "50%", f"n = {near['n']:,}, {near['real_n']:,} real"))
        name = f"closer than the closest 1% of new real images, {near['space']}"
        rows.append((name, _percent(near["copies"], near["copies_error"]), "1%", f"n = {near['n']:,}"))
    return rows


def _with_error(value: float, error: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" + ("" if error is None else f" ± {error:.{digits}f}")


def _percent(share: float, error: float | None) -> str:
    return f"{share:.1%}" + ("" if error is None else f" ± {error:.1%}")


def _rounded(value: Any) -> Any:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def slug(name: str) -> str:
    """A data set's name where the Hub wants an id: letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "images"
