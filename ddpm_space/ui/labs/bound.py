"""The bound of a picture under an X-ray (row N8): every term in bits/dim as it comes, what it weighs, where the bits go, and the Bayes floor.

The floor is known in one world: a picture is one of the ten bundled digits. There any network, trained or perfect, is measured on all ten at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from ddpm_space import figures
from ddpm_space.denoiser import Denoiser
from ddpm_space.exact.floor import bayes_floor
from ddpm_space.exact.points import PointSet
from ddpm_space.likelihood import Variance, bound_variance, chain_variance
from ddpm_space.loss import BoundProgress, bound_terms
from ddpm_space.models import LoadedModel
from ddpm_space.notes import elbo
from ddpm_space.notes.weights import eps_weight
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.spacing import spaced_timesteps
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.forms import MAX_SEED
from ddpm_space.ui.labs.loss_runs import Clock, check_work, limit, measured, picture_for, seen
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.widgets import Payload
from ddpm_space.ui.worlds import digit_pictures, perfect_denoiser, ten_digits

FRAME_SECONDS = 0.15
CHAINS = ("50", "100", "250", "all")
DRAWS = ("2", "4", "8")
PICTURES = ("mine", "digits")
NETWORKS = ("model", "perfect")
FIXED = ("fixed_small", "fixed_large")
FLOOR_ROWS = 40
FLOOR_SAMPLES = 256
STRETCHES = (0.01, 0.1, 0.5, 1.0)
"""Where a stretch of t ends, as shares of T; t = 0 is a stretch of its own."""


def run(model: ModelSlot, asked: Asked) -> Iterator[Payload]:
    """Stream the bound along the training chain or along a shorter one; a run that takes too long ends with the terms it has."""
    loaded = model.get(asked)
    clock = Clock()
    schedule = loaded.denoiser.schedule
    network, pictures = asked.choice("network", NETWORKS), asked.choice("pictures", PICTURES)
    chain, draws, variance, clip, seed = conventions(loaded, asked, learned=network == "model")
    sigma2 = chain_variance(network_of(loaded, network), chain, variance)
    x_0 = digit_pictures(loaded.channels, loaded.sample_size) if pictures == "digits" else picture_for(loaded, asked)
    check_work(network, len(chain), draws, len(x_0))
    known = pictures == "digits" and len(chain) > 1
    about = {
        **{"T": len(schedule), "variance": variance, "clip": clip, "pictures": pictures, "network": network, "seed": seed},
        "weights": figures.array(weights(chain, sigma2), "float64"),
        **measured(loaded, asked, network),
        **seen(loaded, x_0, asked, network=network, digits=pictures == "digits"),
        "floor": None,
    }
    if known:
        # All ten, each as often as the others: what is measured on them averages over the world that the floor is an average over.
        rows = floor_rows(len(chain))
        floor, floor_error = floor_of(ten_digits(loaded.channels, loaded.sample_size), tuple(float(chain.alpha_bar[row]) for row in rows))
    arrived: list[BoundProgress] = []
    sent = time.perf_counter()
    for term in bound_terms(network_of(loaded, network), x_0, draws=draws, schedule=chain, variance=variance, clip_x0=clip, seed=seed):
        arrived.append(term)
        late = clock.late() and term.index < term.total - 1
        done = late or term.index == term.total - 1
        if not done and time.perf_counter() - sent < FRAME_SECONDS:
            continue
        sent = time.perf_counter()
        if known:
            about["floor"] = against_floor(arrived, chain, sigma2, rows, floor, floor_error)
        errors = [term.eps_mse for term in arrived if term.eps_mse is not None]
        yield {
            **figures.bound(arrived, chain),
            **about,
            "eps_mse": figures.array([error.mean for error in errors], "float64"),
            "eps_mse_se": figures.array([error.standard_error for error in errors], "float64"),
            "stretches": stretches(arrived, len(schedule)),
            **limit(late),
            "done": done,
        }
        if done:
            return


def conventions(loaded: LoadedModel, asked: Asked, *, learned: bool = True) -> tuple[NoiseSchedule, int, str, bool, int]:
    """Take what a bound is taken under: the chain, draws a term, the variance, whether x_0_hat is clipped, the seed."""
    schedule, steps = loaded.denoiser.schedule, asked.choice("chain", CHAINS)
    chain = shorter_chain(schedule, len(schedule) if steps == "all" else int(steps))
    variance = asked.choice("variance", bound_variances(loaded) if learned else FIXED)
    return chain, int(asked.choice("draws", DRAWS)), variance, asked.flag("clip"), asked.whole("seed", 0, MAX_SEED)


def bound_variances(loaded: LoadedModel) -> tuple[str, ...]:
    """The variances that a model's bound can be taken with: two that need nothing, and what it learned or what was estimated for it."""
    own = {"learned_range": loaded.learned_variance, "analytic": loaded.denoiser.posterior_variance is not None}
    return (*FIXED, *(name for name, there in own.items() if there))


def shorter_chain(schedule: NoiseSchedule, steps: int) -> NoiseSchedule:
    """Keep `steps` evenly spread timesteps, first and last among them; all of them when there are no more than that."""
    if steps >= len(schedule):
        return schedule
    return schedule.respaced(spaced_timesteps(len(schedule), steps, "linspace"))


def weights(chain: NoiseSchedule, variance: Variance) -> Tensor:
    """The bound's weight on |eps - eps_theta|^2 in nats, from the noisiest step down; a learned variance counts as the smaller one: (T,)."""
    return eps_weight(bound_variance(chain, variance), chain.alpha_bar, chain.alpha_bar_prev).flip(0)


def stretches(arrived: Sequence[BoundProgress], length: int) -> list[Payload]:
    """Sum the terms over stretches of t: bits/dim with error, share of the bound so far, and share of L_simple over the same terms."""
    ends = [0, *(max(1, round(share * length)) - 1 for share in STRETCHES)]
    steps = [term for term in arrived if term.eps_mse is not None]
    total = arrived[-1].running.mean
    simple = sum(term.eps_mse.mean for term in steps if term.eps_mse is not None)
    found = []
    for start, end in zip([0, *(end + 1 for end in ends)], ends):
        inside = [term for term in steps if start <= term.t <= end]
        if not inside:
            continue
        bits = sum(term.bits.mean for term in inside)
        found.append(
            {
                **{"from": start, "to": end, "terms": len(inside), "bits": bits},
                "se": math.sqrt(sum(term.bits.standard_error**2 for term in inside)),
                "share": bits / total if total > 0 else None,
                "simple": sum(term.eps_mse.mean for term in inside if term.eps_mse is not None) / simple if simple > 0 else None,
            }
        )
    return found


def floor_rows(steps: int) -> list[int]:
    """Choose rows of a chain for the floor, more of them near t = 0, where most of the bits are; row 0, the decoder, is not among them."""
    places = torch.logspace(0, math.log10(max(1, steps - 1)), FLOOR_ROWS, dtype=torch.float64)
    return sorted({min(steps - 1, round(float(place))) for place in places})


@lru_cache(maxsize=32)
def floor_of(world: PointSet, alpha_bars: tuple[float, ...]) -> tuple[Tensor, Tensor]:
    """The Bayes floor of L_simple and its standard error at each alpha_bar: (n,) each, from exact samples of x_t."""
    generator = torch.Generator().manual_seed(0)
    estimate = bayes_floor(world, torch.tensor(alpha_bars, dtype=torch.float64), samples=FLOOR_SAMPLES, generator=generator)
    return estimate.value, estimate.standard_error


def against_floor(
    arrived: Sequence[BoundProgress], chain: NoiseSchedule, variance: Variance, rows: Sequence[int], floor: Tensor, floor_error: Tensor
) -> Payload:
    """Compare the measured errors with the floor at the rows that have arrived, and say what the floor makes of the terms, in bits/dim."""
    by_t = {term.t: term for term in arrived if term.eps_mse is not None}
    place = {row: i for i, row in enumerate(rows)}
    here = [row for row in rows if int(chain.timesteps[row]) in by_t]
    sigma2, index = bound_variance(chain, variance), torch.tensor(here, dtype=torch.int64)
    at = [place[row] for row in here]
    weight = eps_weight(sigma2, chain.alpha_bar, chain.alpha_bar_prev)[index]
    zero = torch.zeros(len(here), dtype=torch.float64)
    # Where the means agree a term costs what the two variances differ by, and nothing else.
    constant = elbo.kl_term(zero, chain.beta_tilde[index], zero, sigma2[index])
    measured = [by_t[int(chain.timesteps[row])].eps_mse for row in here]
    excess = [error.mean - float(floor[i]) for error, i in zip(measured, at) if error is not None]
    spread = [math.hypot(error.standard_error, float(floor_error[i])) for error, i in zip(measured, at) if error is not None]
    return {
        "t": figures.array([float(chain.timesteps[row]) for row in here], "float64"),
        "mse": figures.array(floor[at], "float64"),
        "mse_se": figures.array(floor_error[at], "float64"),
        "bits": figures.array(elbo.bits_per_dim(constant + weight * floor[at], 1), "float64"),
        "excess": sum(excess) / len(here) if here else None,
        "se": math.sqrt(sum(error**2 for error in spread)) / len(here) if here else None,
        "count": len(here),
        "samples": FLOOR_SAMPLES,
    }


def network_of(loaded: LoadedModel, network: str) -> Denoiser:
    """The loaded model, or the perfect network of the ten digits on the same chain."""
    return loaded.denoiser if network == "model" else perfect_denoiser(ten_digits(loaded.channels, loaded.sample_size), loaded.denoiser.schedule)
