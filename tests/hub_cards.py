"""The rules of the Hub for the YAML at the top of a README.md, as far as its documentation states them."""

from __future__ import annotations

import re
from typing import Any

import yaml

LICENSES = {
    "apache-2.0",
    "mit",
    "openrail",
    "cc0-1.0",
    "cc-by-4.0",
    "cc-by-sa-4.0",
    "cc-by-sa-3.0",
    "cc-by-nc-4.0",
    "bsd-3-clause",
    "unknown",
    "other",
}
PIPELINES = {"unconditional-image-generation", "text-to-image", "image-to-image", "image-classification"}
COLORS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
SDKS = {"gradio", "docker", "static"}


def problems(card: str, kind: str) -> tuple[list[str], list[str]]:
    """Errors and warnings of a README.md for a repository of a kind: "model", "dataset" or "space"."""
    head = re.match(r"\A---\r?\n(.*?)\r?\n---\s*(?:\n|\Z)", card, re.DOTALL)
    if head is None:
        text = "empty or missing yaml metadata in repo card"
        return ([text], []) if kind == "space" else ([], [text])
    try:
        data = yaml.safe_load(head[1]) or {}
    except yaml.YAMLError as error:
        return [f"bad YAML: {' '.join(str(error).split())}"], []
    if not isinstance(data, dict):
        return ["the metadata must be a mapping"], []
    return [*_everywhere(data), *(_space(data) if kind == "space" else _model(data) if kind == "model" else [])], []


def _everywhere(data: dict[str, Any]) -> list[str]:
    found: list[str] = []
    licence = data.get("license")
    if licence is not None and not set(licence if isinstance(licence, list) else [licence]) <= LICENSES:
        found.append(f'"license" must be one of {sorted(LICENSES)}, not {licence!r}')
    if licence == "other" and not data.get("license_name"):
        found.append('"license_name" is required with license: other')
    for name in ("tags", "datasets", "metrics", "models"):
        if name in data and not (isinstance(data[name], list) and all(isinstance(item, str) for item in data[name])):
            found.append(f'"{name}" must be an array of strings')
    for name in data.get("datasets") if isinstance(data.get("datasets"), list) else []:
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(name)):
            found.append(f'"datasets" must hold Hub ids, not {name!r}')
    return found


def _model(data: dict[str, Any]) -> list[str]:
    found: list[str] = []
    if data.get("pipeline_tag") is not None and data["pipeline_tag"] not in PIPELINES:
        found.append(f'"pipeline_tag" must be one of {sorted(PIPELINES)}')
    for model in data.get("model-index") or []:
        if not model.get("name") or not isinstance(model.get("results"), list):
            found.append('"model-index[0]" needs a name and results')
            continue
        for i, result in enumerate(model["results"]):
            where = f'"model-index[0].results[{i}]'
            if not (result.get("task") or {}).get("type"):
                found.append(f'{where}.task.type" is required')
            found += [f'{where}.dataset.{name}" is required' for name in ("type", "name") if not (result.get("dataset") or {}).get(name)]
            if not isinstance(result.get("metrics"), list) or not result["metrics"]:
                found.append(f'{where}.metrics" must be a filled array')
                continue
            for j, metric in enumerate(result["metrics"]):
                found += [f'{where}.metrics[{j}].{name}" is required' for name in ("type", "value") if metric.get(name) is None]
    return found


def _space(data: dict[str, Any]) -> list[str]:
    found: list[str] = []
    if data.get("sdk") not in SDKS:
        found.append(f'"sdk" must be one of {sorted(SDKS)}')
    if data.get("sdk") == "gradio" and not re.fullmatch(r"\d+\.\d+\.\d+", str(data.get("sdk_version", ""))):
        found.append('"sdk_version" must be a version such as 6.31.0')
    for name in ("colorFrom", "colorTo"):
        if data.get(name) is not None and data[name] not in COLORS:
            found.append(f'"{name}" must be one of {sorted(COLORS)}')
    if len(str(data.get("short_description") or "")) > 60:
        found.append('"short_description" must be at most 60 characters long')
    if data.get("emoji") is not None and len(str(data["emoji"])) > 4:
        found.append('"emoji" must be one emoji')
    return found
