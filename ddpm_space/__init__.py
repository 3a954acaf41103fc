"""Understand, run and train a DDPM: the mathematics of a set of study notes as tested code.

    notes (chapters 1-5)
      -> ddpm_space.notes         pure functions of numbers and tensors: no model, no table, no UI, no diffusers
      -> ddpm_space.schedule      NoiseSchedule: the table of beta_t and all that follows from it
      -> ddpm_space.likelihood    the same formulas summed along a chain for any model; bound and stratified keep or estimate the sum
      -> ddpm_space.exact         worlds in which every claim is known to many digits; derivation and mistakes are walked in them
      -> ddpm_space.scheduler     NotesDDPMScheduler: the one adapter to diffusers
      -> ddpm_space.{noising, sampling, loss}   the three stories the app tells, as plain functions and generators
      -> ddpm_space.ui            Gradio: convert, call, convert back
      -> training                 (beside the package) accelerate + UNet2DModel + the same scheduler and the same loss

A sentence of the notes, a formula, a function, a check and a panel of the app are five views of one thing and carry one id, such as `N7.q_posterior`:
see `ddpm_space.notes.equations`.
"""

from typing import TYPE_CHECKING, Any

from ddpm_space.bound import full_bound
from ddpm_space.denoiser import Denoiser, Prediction
from ddpm_space.likelihood import variational_bound
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.stratified import estimated_bound

if TYPE_CHECKING:
    from ddpm_space.models import load
    from ddpm_space.scheduler import NotesDDPMScheduler

__all__ = [
    "Denoiser",
    "NoiseSchedule",
    "NotesDDPMScheduler",
    "Prediction",
    "estimated_bound",
    "full_bound",
    "load",
    "variational_bound",
]


def __getattr__(name: str) -> Any:
    # These two need diffusers, which takes seconds to import: only when asked for.
    if name == "NotesDDPMScheduler":
        from ddpm_space.scheduler import NotesDDPMScheduler

        return NotesDDPMScheduler
    if name == "load":
        from ddpm_space.models import load

        return load
    raise AttributeError(f"module 'ddpm_space' has no attribute '{name}'")
