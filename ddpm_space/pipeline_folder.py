"""What a folder must hold to be a model that is safe and possible to load; checked from its file names, its JSON and its safetensors headers.

A model is a plain diffusers pipeline: model_index.json, unet/ (an unconditional UNet2DModel) and scheduler/. The older layout with all files at the
top is read too. Nothing here imports diffusers: a wrong folder is refused at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ddpm_space import analytic
from ddpm_space.errors import TextError
from ddpm_space.reasons import Reason, reason_of

WEIGHTS = "diffusion_pytorch_model.safetensors"

MAIN_WEIGHTS = (WEIGHTS, f"{WEIGHTS}.index.json", "diffusion_pytorch_model-?????-of-?????.safetensors")
"""The weights that are loaded: whole, or in numbered pieces with their index. Variants (raw, fp16, non_ema) carry a word before `.safetensors`."""

CONFIGURATIONS = (
    *("model_index.json", "config.json", "scheduler_config.json", "unet/config.json", "scheduler/scheduler_config.json"),
    *(analytic.FILE, f"scheduler/{analytic.FILE}"),
)

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")

OWN_LIBRARIES = ("diffusers", "ddpm_space.scheduler")
"""What model_index.json may name; anything else is code that would have to come with the model."""

MODEL_ERRORS = {
    "error.model.unknown_bundled": "There is no bundled model '{name}': use one of {known}.",
    "error.model.not_found": "There is no folder '{source}', and it is not a Hub id such as user/model: check the spelling.",
    "error.model.not_a_pipeline": "'{source}' is not a diffusers pipeline: {missing} is missing. Give the folder that training wrote.",
    "error.model.remote_code": "'{source}' wants to run code of its own ({found}), which is never done here: use a pipeline of diffusers classes.",
    "error.model.architecture": "'{source}' holds {found}; only a pipeline with a UNet2DModel, such as DDPMPipeline, can be used.",
    "error.model.class_conditional": "'{source}' needs class labels: only unconditional models can be used.",
    "error.model.channels": "'{source}' has {found} channels: only gray (1) and RGB (3) images can be shown.",
    "error.model.outputs": "'{source}' takes {inputs} channels and returns {outputs}: it must return as many, or twice as many (learned variances).",
    "error.model.size": "'{source}' has sample_size {found}: only square images of a stated size can be used.",
    "error.model.no_safetensors": "'{source}' has its weights only as pickle files ({file}), which can run code: save it again as safetensors.",
    "error.model.no_weights": "'{source}' has no weights: {missing} is missing.",
    "error.model.damaged": "{file} of '{source}' is damaged or cut short ({reason}): copy or download it again.",
    "error.model.weights_mismatch": "The weights of '{source}' do not fit its config.json ({reason}): both must come from the same training run.",
    "error.model.not_finite": "The weights of '{source}' hold NaN or infinite values (in {name}): its training diverged, or the file is damaged.",
    "error.model.scheduler": "The scheduler of '{source}' cannot be used: {reason}.",
    "error.model.does_not_run": "The network of '{source}' fails on an image of its own size: {reason}.",
    "error.model.device": "device '{device}' cannot be used here ({reason}): use cpu, or cuda where PyTorch finds a GPU.",
    "error.model.hub_missing": "The Hub shows no '{repo}' here: check the name; if it is private, set HF_TOKEN to a token that may read it.",
    "error.model.revision": "'{repo}' has no revision '{revision}': use one of {known}, or a commit.",
    "error.model.gated": "'{repo}' is gated: ask for access at {url}, then set HF_TOKEN to a token of that account.",
    "error.model.token": "The Hub refuses your token for '{repo}' ({reason}): correct HF_TOKEN or log in again; a public model needs no token.",
    "error.model.offline": "'{repo}' is not on this machine and the Hub did not give it ({reason}): check the network, or use a local folder.",
    "error.model.old_copy": "The Hub did not give '{repo}' ({reason}): this is the copy on this machine, commit {commit}.",
    "error.model.checksum": "{file} of '{repo}' came damaged twice (it is not what the Hub lists): try again later, or through another network.",
    "error.model.cache": "'{repo}' cannot be stored in {folder} ({reason}): make room or grant access there, or set HF_HOME to another folder.",
    "error.model.too_large": "'{repo}' has {megabytes} MB to download; at most {limit} MB are taken.",
}


class ModelError(TextError):
    """A model that cannot be loaded; `key` is one of MODEL_ERRORS."""

    templates = MODEL_ERRORS


@dataclass(frozen=True)
class PipelineFolder:
    """A folder that passed every check that needs no network: where its UNet lies, the side of its images, and its card if it has one.

    table: what `analytic` estimated for it, by training timestep; None if it came with none.
    """

    unet_folder: Path
    sample_size: int
    scheduler_config: dict[str, Any]
    card_path: Path | None
    table: analytic.Table | None = None


def read_folder(folder: Path, source: str) -> PipelineFolder:
    """Check a pipeline folder and read its configurations.

    Args:
        folder: where it lies; source: what the user called it, for the messages.
    Raises:
        ModelError: files missing, damaged or unsafe, or another architecture.
    """
    check_names(names_in(folder), source)
    unet_folder, scheduler_config, sample_size = read_configurations(folder, source)
    _check_pieces(unet_folder, source)
    _check_headers(sorted(path for pattern in MAIN_WEIGHTS for path in unet_folder.glob(pattern) if path.suffix == ".safetensors"), source)
    card = folder / "README.md"
    scheduler_folder = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    try:
        table = analytic.read(scheduler_folder)
    except (ValueError, OSError) as error:
        raise ModelError("error.model.damaged", source=source, file=analytic.FILE, reason=reason_of(error)) from error
    return PipelineFolder(unet_folder, sample_size, scheduler_config, card if card.is_file() else None, table)


def read_configurations(folder: Path, source: str) -> tuple[Path, dict[str, Any], int]:
    """Check the JSON files alone, which tell the architecture before the weights are there.

    Returns:
        the UNet's folder, the scheduler's configuration, the side of the images.
    """
    _check_classes(_read_json(folder / "model_index.json", source), source)
    unet_folder = folder / "unet" if (folder / "unet").is_dir() else folder
    scheduler_folder = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    for path in (unet_folder / "config.json", scheduler_folder / "scheduler_config.json"):
        if not path.is_file():
            raise ModelError("error.model.not_a_pipeline", source=source, missing=path.relative_to(folder).as_posix())
    sample_size = _check_unet(_read_json(unet_folder / "config.json", source), source)
    return unet_folder, _read_json(scheduler_folder / "scheduler_config.json", source), sample_size


def names_in(folder: Path) -> set[str]:
    """Paths of the files that can belong to a pipeline, relative to its folder, with forward slashes; links that lead nowhere are none."""
    parts = (folder, folder / "unet", folder / "scheduler")
    return {path.relative_to(folder).as_posix() for part in parts if part.is_dir() for path in part.iterdir() if path.exists()}


def wanted(names: Set[str]) -> list[str]:
    """The files that are read, and so the only ones that are downloaded: card and configurations first, then the main weights."""
    place = _place(names)
    weights = sorted(name for name in names if any(fnmatchcase(name, place + pattern) for pattern in MAIN_WEIGHTS))
    return [*(name for name in ("README.md", *CONFIGURATIONS) if name in names), *sorted(weights, key=lambda name: name.endswith(".safetensors"))]


def check_names(names: Set[str], source: str) -> None:
    """Refuse what its file names already show to be no pipeline, or to hold pickles only; also used on a Hub listing, before any download.

    Args:
        names: paths relative to the folder, with forward slashes.
    """
    if "model_index.json" not in names:
        raise ModelError("error.model.not_a_pipeline", source=source, missing="model_index.json")
    place = _place(names)
    weights = place + WEIGHTS
    if weights in names or weights + ".index.json" in names:
        return
    pickles = sorted(name for name in names if name.startswith(place) and name.endswith(PICKLES))
    if pickles:
        raise ModelError("error.model.no_safetensors", source=source, file=pickles[0])
    raise ModelError("error.model.no_weights", source=source, missing=weights)


def _place(names: Set[str]) -> str:
    """Where the UNet lies: the older layout has all files at the top."""
    return "unet/" if any(name.startswith("unet/") for name in names) else ""


def _check_classes(index: dict[str, Any], source: str) -> None:
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise ModelError("error.model.remote_code", source=source, found=pipeline)
    parts = {name: entry for name, entry in index.items() if isinstance(entry, list) and len(entry) == 2 and entry[0] is not None}
    for name, (library, found) in parts.items():
        if name in ("unet", "scheduler") and library not in OWN_LIBRARIES:
            raise ModelError("error.model.remote_code", source=source, found=f"{library}.{found}")
    unet = parts.get("unet", (None, "no UNet"))[1]
    others = sorted(parts.keys() - {"unet", "scheduler"})
    if unet != "UNet2DModel" or others:
        raise ModelError("error.model.architecture", source=source, found=" + ".join([f"{pipeline} with {unet}", *others]))


def _check_unet(config: dict[str, Any], source: str) -> int:
    """Refuse a UNet that makes no plain square images; returns their side."""
    found = config.get("_class_name", "UNet2DModel")
    if found != "UNet2DModel":
        raise ModelError("error.model.architecture", source=source, found=found)
    if config.get("num_class_embeds") is not None or config.get("class_embed_type") is not None:
        raise ModelError("error.model.class_conditional", source=source)
    channels, outputs = config.get("in_channels", 3), config.get("out_channels", 3)
    if not isinstance(channels, int) or channels < 1 or outputs not in (channels, 2 * channels):
        raise ModelError("error.model.outputs", source=source, inputs=channels, outputs=outputs)
    size = config.get("sample_size")
    if isinstance(size, list) and len(size) == 2 and size[0] == size[1]:
        size = size[0]
    if not isinstance(size, int) or size < 1:
        raise ModelError("error.model.size", source=source, found=size)
    return size


def _check_pieces(unet_folder: Path, source: str) -> None:
    """Refuse an index that names anything but numbered safetensors files beside it, or files that are not there."""
    index = unet_folder / f"{WEIGHTS}.index.json"
    if not index.is_file():
        return
    weight_map = _read_json(index, source).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError("error.model.damaged", source=source, file=index.name, reason=Reason("reason.no_weight_map"))
    for piece in sorted({str(name) for name in weight_map.values()}):
        if not fnmatchcase(piece, MAIN_WEIGHTS[-1]) or "/" in piece or "\\" in piece:
            raise ModelError("error.model.damaged", source=source, file=index.name, reason=Reason("reason.names_file", {"file": piece}))
        if not (unet_folder / piece).is_file():
            raise ModelError("error.model.no_weights", source=source, missing=piece)


def _check_headers(files: Iterable[Path], source: str) -> None:
    from safetensors import SafetensorError, safe_open

    for path in files:
        try:
            with safe_open(path, "pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ModelError("error.model.damaged", source=source, file=path.name, reason=reason_of(error)) from error


def _read_json(path: Path, source: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("error.model.damaged", source=source, file=path.name, reason=reason_of(error)) from error
    if not isinstance(content, dict):
        raise ModelError("error.model.damaged", source=source, file=path.name, reason=Reason("reason.not_an_object"))
    return content
