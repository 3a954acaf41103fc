"""Catch a mistake in a process of its own: a planted mistake is in the notes' modules for everybody, and a server computes for many.

    python -m ddpm_space.mistakes.apart off_by_one

prints one JSON line for each equation that the mistake falsifies: its id, and error and tolerance of its check with the wrong formula.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import ddpm_space
from ddpm_space.mistakes.catching import Caught, planted
from ddpm_space.mistakes.variants import MISTAKES
from ddpm_space.notes.equations import EQUATIONS

ROOT = Path(ddpm_space.__file__).resolve().parent.parent


def caught_apart(mistake_id: str) -> Iterator[Caught]:
    """Run the checks that a mistake must fail in another process, with the mistake planted there, and yield what each found as it comes.

    Args:
        mistake_id: a key of MISTAKES. Closing the generator ends the process.
    Raises:
        ValueError: no such mistake.
        RuntimeError: the process failed.
    """
    if mistake_id not in MISTAKES:
        raise ValueError(f"no mistake '{mistake_id}': use one of {', '.join(MISTAKES)}")
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-m", "ddpm_space.mistakes.apart", mistake_id]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = json.loads(line)
                yield Caught(found["id"], float(found["error"]), float(found["tolerance"]))
        finally:
            if process.poll() is None:
                process.kill()
    if process.returncode:
        raise RuntimeError(f"the process that ran the checks of '{mistake_id}' ended with {process.returncode}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Plant the named mistake, run its checks, print one line each."""
    (mistake_id,) = sys.argv[1:] if arguments is None else arguments
    mistake = MISTAKES[mistake_id]
    with planted(mistake):
        for equation_id in mistake.equations:
            try:
                result = EQUATIONS[equation_id].check()
                error, tolerance = result.error, result.tolerance
            except (ArithmeticError, RuntimeError, ValueError):
                error, tolerance = float("inf"), 0.0
            # As text: JSON has no infinity.
            print(json.dumps({"id": equation_id, "error": repr(error), "tolerance": repr(tolerance)}), flush=True)


if __name__ == "__main__":
    main()
