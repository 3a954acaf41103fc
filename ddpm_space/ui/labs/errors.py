"""The error of eps_theta for one picture at chosen t, one t after another, then L_simple (row N8). Runs the model."""

from __future__ import annotations

from collections.abc import Iterator

from ddpm_space import figures
from ddpm_space.loss import eps_errors, simple_loss
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED, timestep_list
from ddpm_space.ui.labs.loss_runs import Clock, limit, measured, picture_for, seen
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import Payload

SHARES = (0.01, 0.05, 0.2, 0.5, 0.9)
"""Where the error is measured when no t is named, as shares of T."""

ERROR_DRAWS = 16
SIMPLE_DRAWS = 128


def run(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Measure the error at each t as it comes, then L_simple; what no longer fits into the time is left out."""
    loaded = model.get(asked)
    clock = Clock()
    longest, seed = len(loaded.denoiser.schedule), asked.whole("seed", 0, MAX_SEED)
    typed = str(asked.values.get("timesteps") or "").strip()
    chosen = timestep_list(typed, longest) if typed else suggested(longest)
    x_0 = picture_for(loaded, asked)
    payload: Payload = {
        **{"rows": [], "total": len(chosen), "draws": ERROR_DRAWS, "T": longest, "seed": seed, "simple": None},
        **measured(loaded, asked),
        **seen(loaded, x_0, asked),
    }
    yield payload
    for t in chosen:
        if clock.late():
            break
        payload["rows"] += [figures.eps_error(row) for row in eps_errors(loaded.denoiser, x_0, [t], draws=ERROR_DRAWS, seed=seed)]
        yield payload
    # L_simple is one piece of work: it begins only if, at the pace so far, it ends in time.
    late = clock.late(SIMPLE_DRAWS / (ERROR_DRAWS * max(1, len(payload["rows"]))))
    if not late:
        payload["simple"] = figures.estimate(simple_loss(loaded.denoiser, x_0, draws=SIMPLE_DRAWS, seed=seed))
    yield {**payload, **limit(late), "done": True}


def suggested(length: int) -> list[int]:
    """Spread timesteps over a chain of `length` steps, more of them where there is little noise."""
    return sorted({int(share * length) for share in SHARES})
