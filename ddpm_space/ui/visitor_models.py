"""Models that a visitor names: by Hub id, within limits, with nothing of the owner's. `DDPM_SPACE_VISITOR_MODELS=off` leaves only the bundled ones.

A visitor's word never reaches a folder of this machine, no token goes with it, and its files are removed as soon as the model is in memory,
of which a bounded amount is kept. What is downloaded is bounded in size and in time, and so is how much is fetched at once.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import Future, wait
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from ddpm_space.errors import TextError
from ddpm_space.reasons import Reason
from ddpm_space.ui.model import check_channels

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from ddpm_space.models import LoadedModel, ModelError
    from ddpm_space.pipeline_folder import PipelineFolder

SWITCH = "DDPM_SPACE_VISITOR_MODELS"

MAX_MEGABYTES = 200
"""Of a visitor's weights."""

MEMORY_MEGABYTES = 800
"""Of all visitors' models in memory, in float32; the one that was asked for longest ago goes first."""

MAX_SIDE = 64
"""Largest height and width of its images."""

MAX_LAYERS = 8
"""Of one level of the UNet, and levels."""

MAX_STEPS = 10_000
"""Of its training chain."""

PATIENCE = 40.0
"""Seconds that a question waits for a model; it goes on loading meanwhile, for whoever asks next."""

AT_ONCE = 2
"""Models that are fetched at the same time."""

NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*(?:@\w[\w./-]*)?", re.ASCII)
LONGEST_NAME = 200

VISITOR_ERRORS = {
    "error.visitor.off": "This page serves only its own models: '{source}' cannot be loaded here.",
    "error.visitor.name": "'{source}' is not the name of a model on the Hub: write user/model or user/model@revision.",
    "error.visitor.missing": "'{source}' is no public model on the Hub: check the name. Private and gated models cannot be used here.",
    "error.visitor.too_large": "'{source}' has {megabytes} MB of weights; on this page at most {limit} MB are accepted.",
    "error.visitor.side": "The images of '{source}' are {found} pixels wide; on this page at most {limit} are accepted.",
    "error.visitor.config": "The network of '{source}' is too large for this page: at most {layers} levels of {layers} layers and {steps} steps.",
    "error.visitor.unreached": "The Hub did not give '{source}' ({reason}): try again later, or use a bundled model.",
    "error.visitor.loading": "'{source}' is still being fetched: try again in a moment.",
    "error.visitor.busy": "Other visitors' models are being fetched: try again in a moment.",
}


class VisitorError(TextError):
    """A model that a visitor cannot have; `key` is one of VISITOR_ERRORS."""

    templates = VISITOR_ERRORS


def allowed(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the owner lets visitors name models: DDPM_SPACE_VISITOR_MODELS, "on" where it is not set.

    Raises:
        ValueError: neither "on" nor "off".
    """
    value = environment.get(SWITCH, "") or "on"
    if value not in ("on", "off"):
        raise ValueError(f"{SWITCH} = '{value}': use one of on, off")
    return value == "on"


class VisitorModels:
    """Loads what visitors name and keeps the latest of it.

    Args:
        hub_allowed: False leaves only the bundled models.
    """

    def __init__(self, hub_allowed: bool) -> None:
        self.hub_allowed = hub_allowed
        self._kept: OrderedDict[str, LoadedModel] = OrderedDict()
        self._loading: dict[str, Future[LoadedModel]] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> LoadedModel:
        """Return "bundled:NAME" or a model of the Hub, "user/model[@revision]", waiting PATIENCE for it.

        Raises:
            VisitorError: not allowed, not a name, not public, too large, or not there yet.
            ModelError: what the Hub or the files themselves are about.
        """
        from ddpm_space import models

        if name.startswith("bundled:"):
            return models.load(name)
        if not self.hub_allowed:
            raise VisitorError("error.visitor.off", source=name[:LONGEST_NAME])
        if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
            raise VisitorError("error.visitor.name", source=name[:LONGEST_NAME])
        with self._lock:
            if name in self._kept:
                self._kept.move_to_end(name)
                return self._kept[name]
            loading = self._loading.get(name) or self._begin(name)
        wait([loading], PATIENCE)
        if not loading.done():
            raise VisitorError("error.visitor.loading", source=name)
        return loading.result()

    def _begin(self, name: str) -> Future[LoadedModel]:
        if len(self._loading) >= AT_ONCE:
            raise VisitorError("error.visitor.busy")
        loading = self._loading[name] = Future()
        threading.Thread(target=self._load, args=(name, loading), name="load-visitor-model", daemon=True).start()
        return loading

    def _load(self, name: str, loading: Future[LoadedModel]) -> None:
        try:
            model = fetch(name)
        except BaseException as error:
            with self._lock:
                del self._loading[name]
            loading.set_exception(error)
            return
        with self._lock:
            self._keep(name, model)
            del self._loading[name]
        loading.set_result(model)

    def _keep(self, name: str, model: LoadedModel) -> None:
        self._kept[name] = model
        while sum(map(megabytes, self._kept.values())) > MEMORY_MEGABYTES and len(self._kept) > 1:
            self._kept.popitem(last=False)


def megabytes(model: LoadedModel) -> float:
    """What a model takes in memory, its weights being float32."""
    return 4 * model.num_parameters / 1_000_000


def fetch(name: str) -> LoadedModel:
    """Load a public model from the Hub within the limits of a visitor; none of its files stays.

    Raises:
        VisitorError, ModelError: as in `VisitorModels.get`.
    """
    from ddpm_space import models
    from ddpm_space.hub import download
    from ddpm_space.pipeline_folder import read_folder

    repo, _, revision = name.partition("@")
    with tempfile.TemporaryDirectory(prefix="ddpm_space_", ignore_cleanup_errors=True) as place:
        try:
            folder, commit, _ = download(repo, revision or None, _anonymous_hub(place), MAX_MEGABYTES)
        except models.ModelError as error:
            raise _for_visitors(error, name) from error
        check_limits(read_folder(folder, name), name)
        model = models.load_once(folder, name, commit)
    check_channels(model)
    return replace(model, card_path=None)


def check_limits(parts: PipelineFolder, name: str) -> None:
    """Refuse what would be too much for this machine, from the configurations alone: no weight is read and no layer is made.

    Raises:
        VisitorError: images too large, too many layers or weights, a chain too long.
    """
    if parts.sample_size > MAX_SIDE:
        raise VisitorError("error.visitor.side", source=name, found=parts.sample_size, limit=MAX_SIDE)
    config = json.loads((parts.unet_folder / "config.json").read_text(encoding="utf-8"))
    layers, widths = config.get("layers_per_block", 2), config.get("block_out_channels", (0,))
    steps = parts.scheduler_config.get("num_train_timesteps", 1000)
    small = isinstance(layers, int) and layers <= MAX_LAYERS and isinstance(widths, (list, tuple)) and len(widths) <= MAX_LAYERS
    if not small or not isinstance(steps, int) or steps > MAX_STEPS:
        raise VisitorError("error.visitor.config", source=name, layers=MAX_LAYERS, steps=MAX_STEPS)
    needed = 4 * _parameters(config, name) / 1_000_000
    if needed > MEMORY_MEGABYTES:
        raise VisitorError("error.visitor.too_large", source=name, megabytes=round(needed), limit=MEMORY_MEGABYTES)


def _parameters(config: dict[str, Any], name: str) -> int:
    """Count the weights that a configuration asks for; they need not be those of the file, and making them would take the memory first."""
    from diffusers import UNet2DModel

    from ddpm_space.models import ModelError

    try:
        with torch.device("meta"):
            return int(UNet2DModel.from_config(config).num_parameters())
    except Exception as error:  # diffusers and torch raise many types for a config that builds no network
        raise ModelError("error.model.weights_mismatch", source=name, reason=Reason("reason.no_network", detail=type(error).__name__)) from error


def _for_visitors(error: ModelError, name: str) -> Exception:
    """Say what went wrong without advice that only the owner can follow, and without this machine's folders."""
    if error.key in ("error.model.hub_missing", "error.model.gated", "error.model.token"):
        return VisitorError("error.visitor.missing", source=name)
    if error.key == "error.model.too_large":
        return VisitorError("error.visitor.too_large", source=name, megabytes=error.values["megabytes"], limit=error.values["limit"])
    if error.key == "error.model.offline":
        return VisitorError("error.visitor.unreached", source=name, reason=error.values["reason"])
    return RuntimeError(str(error)) if error.key == "error.model.cache" else error


def _anonymous_hub(folder: str) -> HfApi:
    """A client that sends no token and keeps its files in a folder of its own: what the owner may read and has fetched is not the visitor's."""
    from huggingface_hub import HfApi

    class Anonymous(HfApi):
        def hf_hub_download(self, repo_id: str, filename: str, **options: Any) -> Any:
            return super().hf_hub_download(repo_id, filename, cache_dir=folder, **options)

        def resolve_revision(self, repo_id: str, **options: Any) -> Any:
            return super().resolve_revision(repo_id, cache_dir=folder, **options)

    return Anonymous(token=False)
