"""Print every mistake, its reason, and the checks of the notes that catch it, with their error and tolerance: `python -m ddpm_space.mistakes`."""

from __future__ import annotations

import sys

from ddpm_space.mistakes.catching import caught_by, reached
from ddpm_space.mistakes.variants import MISTAKES


def main() -> int:
    """Print the table; returns 1 if a mistake goes unnoticed."""
    callers = reached()
    unnoticed = 0
    for mistake in MISTAKES.values():
        found = caught_by(mistake, callers[mistake.member])
        unnoticed += not found
        print(f"{mistake.id}: {mistake.en}")
        for equation_id, error, tolerance in found:
            print(f"    {equation_id:28} error {error:9.2e}  tolerance {tolerance:8.1e}")
        if not found:
            print("    NOT CAUGHT by any check")
    print(f"{len(MISTAKES) - unnoticed} of {len(MISTAKES)} mistakes are caught")
    return min(unnoticed, 1)


if __name__ == "__main__":
    sys.exit(main())
