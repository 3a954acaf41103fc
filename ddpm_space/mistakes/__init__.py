"""The classic mistakes, each a switch: run the right chain and the wrong one with the same noise, and see which check of the notes catches it.

A mistake replaces exactly one formula of a bundle (`Formulas`), which is passed to the processes as an argument; nothing is switched globally. So

    for right, wrong in zip(denoise(denoiser, (2,)), denoise(denoiser, (2,), formulas=MISTAKES["off_by_one"].formulas)): ...

shows its damage on any denoiser, and `python -m ddpm_space.mistakes` plants each one into the notes' own modules, for as long as their checks run,
and prints the checks that fail. A folder, not one file: the formulas, the processes and the list of mistakes are three things.
"""

from ddpm_space.mistakes.catching import Caught, caught_by, planted
from ddpm_space.mistakes.damage import energy_distance
from ddpm_space.mistakes.formulas import RIGHT, Formulas
from ddpm_space.mistakes.processes import ForwardFrame, ReverseFrame, add_noise, denoise
from ddpm_space.mistakes.variants import MISTAKES, Mistake

__all__ = [
    "MISTAKES",
    "RIGHT",
    "Caught",
    "Formulas",
    "ForwardFrame",
    "Mistake",
    "ReverseFrame",
    "add_noise",
    "caught_by",
    "denoise",
    "energy_distance",
    "planted",
]
