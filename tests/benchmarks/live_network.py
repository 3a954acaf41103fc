"""How fast the network of the live lab comes near its Bayes floor on the mixture of eight Gaussians, with the settings of the page, on one thread.

    PYTHONPATH=. python tests/benchmarks/live_network.py [--std 0.1] [--seeds 3] [--draws 100000]

Trains through what the page runs, `train_live`; every 250 steps the averaged weights are judged on fresh draws, averaged over all t of the linear
chain of 1,000 steps, and the time that takes is not counted. Prints the seconds until the network is within 10% of the floor, and where it ends.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from ddpm_space.exact.plane import eight_bumps
from ddpm_space.live import LiveSettings, judge, train_live
from ddpm_space.schedule import NoiseSchedule

BAR, SECONDS = 0.10, 20.0
EVERY = 250


def measure(std: float, seed: int, draws: int) -> tuple[float, float]:
    """Train once; returns the seconds until the bar is passed (infinite if never) and until the end."""
    world, spent, reached = eight_bumps(std), 0.0, float("inf")
    training = train_live(world, NoiseSchedule.linear(1000), LiveSettings(seed=seed))
    while True:
        start = time.perf_counter()
        record = next(training, None)
        spent += time.perf_counter() - start
        if record is None:
            return reached, spent
        if record.step % EVERY == 0:
            judged = judge(record.denoiser, world, draws=draws, seed=1_000_000 + seed)
            if judged.above <= BAR:
                reached = min(reached, spent)
            found = f"{judged.loss.value:.4f}, floor {judged.floor.value:.4f}, excess {judged.excess.value:.4f} +- {judged.excess.standard_error:.4f}"
            print(f"seed {seed}  step {record.step:5}  {spent:6.2f} s  L_simple {found}: {judged.above:7.2%} above", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--std", type=float, default=0.1)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=100_000)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = [measure(arguments.std, seed, arguments.draws) for seed in range(arguments.seeds)]
    reached, whole = (statistics.median(column) for column in zip(*runs))
    slowest = max(run[0] for run in runs)
    print(f"eight Gaussians of standard deviation {arguments.std:g}, the whole 1 a coordinate; {arguments.draws} fresh draws, all t; one thread")
    print(f"within {BAR:.0%} of the floor after {reached:.1f} s (median of {len(runs)} seeds; slowest {slowest:.1f} s; bar {SECONDS:.0f} s)")
    print(f"the whole training takes {whole:.1f} s")


if __name__ == "__main__":
    main()
