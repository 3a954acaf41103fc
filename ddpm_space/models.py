"""Load a trained model: bundled, from a folder, or from the Hugging Face Hub. Weights come from safetensors only, and no code of a model is run.

What a folder must hold is in `pipeline_folder`, how the Hub is asked in `hub`. diffusers is imported when the first model is loaded: it takes
seconds, which a page that shows only noise need not wait for.
"""

from __future__ import annotations

import logging
import re
import threading
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ddpm_space import analytic
from ddpm_space.denoiser import Denoiser
from ddpm_space.pipeline_folder import MODEL_ERRORS, ModelError, PipelineFolder, names_in, read_folder, wanted
from ddpm_space.reasons import Reason, reason_of
from ddpm_space.schedule import NoiseSchedule

if TYPE_CHECKING:
    from diffusers import UNet2DModel
    from huggingface_hub import HfApi

__all__ = ["BUNDLED", "MODEL_ERRORS", "LoadedModel", "ModelError", "load", "load_once", "locate", "ready"]

BUNDLED = ("mnist", "fashion_mnist")
"""Names of the models inside the package, loaded as "bundled:NAME"."""

BUNDLED_FOLDER = Path(__file__).parent / "assets" / "models"

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")

_lock = threading.Lock()
log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class UNetNetwork:
    """A UNet as (x_t, t) -> output, of which the first `channels` are kept, or all; no closure, so that it can be sent to another process."""

    unet: UNet2DModel
    channels: int | None = None

    def __call__(self, x_t: Tensor, t: Tensor) -> Tensor:
        return self.unet(x_t, t, return_dict=False)[0][:, : self.channels]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to use: `denoiser` for the stories, the rest to show.

    sample_size: height and width of its images; source: as it was asked for; revision: the Hub commit, None otherwise; scheduler_config: as stored;
    learned_variance: the network also predicts a variance, which sampling does not use; card_path: its README.md, None if it has none;
    note: a warning to show: the Hub could not be reached, and this is the copy that was here.
    """

    denoiser: Denoiser
    sample_size: int
    channels: int
    source: str
    revision: str | None
    prediction_type: str
    scheduler_config: dict[str, Any]
    num_parameters: int
    learned_variance: bool
    device: str
    card_path: Path | None
    note: ModelError | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of its images."""
        return self.channels, self.sample_size, self.sample_size


def load(source: str | Path, *, device: str = "cpu", hub: HfApi | None = None) -> LoadedModel:
    """Load a model, or return it if it is still in memory and its files have not changed.

    Args:
        source: "bundled:NAME", a folder, or a Hub id "user/model" with an optional "@revision".
        device: where the network runs.
        hub: how the Hub is reached; default the one that the environment names.
    Returns:
        the model in eval mode, without gradients.
    Raises:
        ModelError: nothing there, not a pipeline, another architecture, damaged or unsafe weights, no network, no such device.
    """
    name = str(source)
    _check_device(device)
    folder, revision, note = _find(name, hub)
    files = [folder / path for path in wanted(names_in(folder))]
    stamps = tuple((str(path), path.stat().st_mtime_ns, path.stat().st_size) for path in files)
    with _lock:
        model = _load(name, revision, folder, device, stamps)
    if note is None:
        return model
    log.warning("%s", note)
    return replace(model, note=note)


def load_once(folder: Path, source: str, revision: str | None = None) -> LoadedModel:
    """Load a folder for a caller who keeps the model himself: it does not stay in memory here.

    Args:
        source: what the model is called; revision: its Hub commit.
    Raises:
        ModelError: as in `load`.
    """
    with _lock:
        return _load.__wrapped__(source, revision, folder, "cpu", ())


def locate(source: str, hub: HfApi | None = None) -> tuple[Path, str | None]:
    """Find the folder of a source, downloading it if it is a Hub id; returns it with the Hub commit, or None for what is local."""
    folder, revision, note = _find(source, hub)
    if note is not None:
        log.warning("%s", note)
    return folder, revision


def _check_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise ModelError("error.model.device", device=device, reason=reason_of(error)) from error


def _find(source: str, hub: HfApi | None) -> tuple[Path, str | None, ModelError | None]:
    if source.startswith("bundled:"):
        name = source.removeprefix("bundled:")
        if name not in BUNDLED:
            raise ModelError("error.model.unknown_bundled", name=name, known=", ".join(BUNDLED))
        return BUNDLED_FOLDER / name, None, None
    repo, _, revision = source.partition("@")
    try:
        folder = Path(source).expanduser()
        if folder.is_dir():
            return folder, None, None
        is_on_hub = bool(HUB_ID.fullmatch(repo)) and not folder.exists()
    except (OSError, RuntimeError, ValueError):  # a name that is too long for a file, another user's home that is not there, a zero byte
        is_on_hub = False
    if not is_on_hub:
        raise ModelError("error.model.not_found", source=source)
    from ddpm_space.hub import download

    return download(repo, revision or None, hub)


@lru_cache(maxsize=4)
def _load(source: str, revision: str | None, folder: Path, device: str, stamps: tuple[tuple[str, int, int], ...]) -> LoadedModel:
    parts = read_folder(folder, source)
    schedule, prediction_type = _read_scheduler(parts.scheduler_config, source)
    table = parts.table
    if table is not None and len(table.posterior_variance) != len(schedule):
        raise ModelError("error.model.damaged", source=source, file=analytic.FILE, reason=Reason("reason.wrong_shapes"))
    rows = {} if table is None else {name: torch.tensor(row, dtype=torch.float64) for name, row in vars(table).items() if row is not None}
    unet = ready(read_unet(parts, source), device)
    channels, size = unet.config.in_channels, parts.sample_size
    learned_variance = unet.config.out_channels == 2 * channels
    whole = UNetNetwork(unet)
    network, with_variance = (UNetNetwork(unet, channels), whole) if learned_variance else (whole, None)
    _try_out(network, (1, channels, size, size), torch.device(device), len(schedule), source)
    return LoadedModel(
        denoiser=Denoiser(network, prediction_type, schedule, with_variance, **rows),
        sample_size=size,
        channels=channels,
        source=source,
        revision=revision,
        prediction_type=prediction_type,
        scheduler_config=parts.scheduler_config,
        num_parameters=unet.num_parameters(),
        learned_variance=learned_variance,
        device=device,
        card_path=parts.card_path,
    )


def _read_scheduler(config: dict[str, Any], source: str) -> tuple[NoiseSchedule, str]:
    from diffusers.schedulers import KarrasDiffusionSchedulers

    from ddpm_space.scheduler import NotesDDPMScheduler

    found = config.get("_class_name", "DDPMScheduler")
    known = {"NotesDDPMScheduler", *(scheduler.name for scheduler in KarrasDiffusionSchedulers)} - {"EDMEulerScheduler"}
    if str(found) not in known:
        raise ModelError("error.model.scheduler", source=source, reason=Reason("reason.not_ddpm", {"found": found}))
    try:
        scheduler = NotesDDPMScheduler.from_config(config)
        return scheduler.schedule, scheduler.config.prediction_type
    except Exception as error:  # a file may give any value for anything
        raise ModelError("error.model.scheduler", source=source, reason=reason_of(error, "reason.scheduler_value")) from error


def read_unet(parts: PipelineFolder, source: str) -> UNet2DModel:
    """Read the network of a folder that `read_folder` has passed, in eval mode and without gradients.

    Raises:
        ModelError: weights that do not fit, that are missing or left over, or that are no numbers.
    """
    from diffusers import UNet2DModel

    try:
        # low_cpu_mem_usage would leave a missing weight without any values instead of naming it.
        unet, info = UNet2DModel.from_pretrained(
            str(parts.unet_folder), use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False, output_loading_info=True
        )
    except Exception as error:  # diffusers and torch raise many types for a config that builds no network, or other shapes
        raise ModelError("error.model.weights_mismatch", source=source, reason=reason_of(error, "reason.no_network")) from error
    for key, names in (("reason.weight_missing", info["missing_keys"]), ("reason.weight_left_over", info["unexpected_keys"])):
        if names:
            raise ModelError("error.model.weights_mismatch", source=source, reason=Reason(key, {"name": min(names), "count": len(names)}))
    for name, weight in unet.named_parameters():
        if not torch.isfinite(weight).all():
            raise ModelError("error.model.not_finite", source=source, name=name)
    return unet.eval().requires_grad_(False)


def ready(unet: UNet2DModel, device: str) -> UNet2DModel:
    """Put a network whose weights are final into the form in which it is evaluated, in place; returns it. The one place that decides on that form.

    Channels last everywhere; on a CPU the quicker forms of its parts, and where ncnn is installed a graph of it (tests/benchmarks/sixteen_images.py).
    Compiled it would be no quicker there by what its start costs (training/README.md has the figures).
    """
    if torch.device(device).type == "cpu":
        from ddpm_space.fast_forms import make_quick

        make_quick(unet)
    unet.eval().requires_grad_(False).to(device=device, memory_format=torch.channels_last)
    for weight in unet.parameters():
        # A file's weights begin anywhere, and sums of matrix products round by where their operands begin: torch's own memory begins at 64 bytes.
        weight.data = weight.data.clone()
    if torch.device(device).type == "cpu" and find_spec("ncnn") is not None:
        try:
            from ddpm_space.cpu_graph import make_graphed
        except ImportError as error:
            log.warning("ncnn is installed and cannot be used (%s): torch evaluates the network", error)
        else:
            make_graphed(unet)
    return unet


def _try_out(network: UNetNetwork, shape: tuple[int, ...], device: torch.device, steps: int, source: str) -> None:
    """Run the network once at the last t: shows a size that its layers cannot halve, or no memory holds, or a time embedding that is too short."""
    try:
        with torch.inference_mode():
            output = network(torch.zeros(shape, device=device), torch.tensor([steps - 1], device=device))
    except Exception as error:  # whatever a layer raises
        raise ModelError("error.model.does_not_run", source=source, reason=reason_of(error)) from error
    if output.shape != shape:
        shapes = {"found": tuple(output.shape), "expected": shape}
        raise ModelError("error.model.does_not_run", source=source, reason=Reason("reason.output_shape", shapes))
    if not torch.isfinite(output).all():
        raise ModelError("error.model.does_not_run", source=source, reason=Reason("reason.output_not_finite"))
