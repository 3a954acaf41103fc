"""The error of eps_theta for one picture at chosen t, one t after another, then L_simple (row N8). Runs the model."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ddpm_space import figures
from ddpm_space.loss import eps_errors, simple_loss
from ddpm_space.models import LoadedModel
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED, timestep_list
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import Payload

SHARES = (0.01, 0.05, 0.2, 0.5, 0.9)
"""Where the error is measured when no t is named, as shares of T."""

ERROR_DRAWS = 16
SIMPLE_DRAWS = 128


def run(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Measure the error at each t as it comes, then L_simple."""
    loaded = model.get(asked)
    longest, seed = len(loaded.denoiser.schedule), asked.whole("seed", 0, MAX_SEED)
    typed = str(asked.values.get("timesteps") or "").strip()
    chosen = timestep_list(typed, longest) if typed else suggested(longest)
    x_0 = picture_for(loaded, asked)
    payload: Payload = {"rows": [], "total": len(chosen), "draws": ERROR_DRAWS, "T": longest, "simple": None, "seen": seen(x_0, asked)}
    yield payload
    for t in chosen:
        payload["rows"] += [figures.eps_error(row) for row in eps_errors(loaded.denoiser, x_0, [t], draws=ERROR_DRAWS, seed=seed)]
        yield payload
    payload["simple"] = figures.estimate(simple_loss(loaded.denoiser, x_0, draws=SIMPLE_DRAWS, seed=seed))
    yield {**payload, "done": True}


def suggested(length: int) -> list[int]:
    """Spread timesteps over a chain of `length` steps, more of them where there is little noise."""
    return sorted({int(share * length) for share in SHARES})


def picture_for(loaded: LoadedModel, asked: Asked) -> Tensor:
    """Take the visitor's picture at the model's size and channels: (1, C, H, W)."""
    return asked.picture(1 if loaded.channels == 1 else 3, loaded.sample_size)


def seen(x_0: Tensor, asked: Asked) -> Payload:
    """Show the picture as the model gets it, and whether it is of the kind that the bundled model was trained on."""
    return {"pictures": figures.pictures(x_0), "size": x_0.shape[-1], "outside": not asked.is_digit()}
