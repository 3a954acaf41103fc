"""The example pictures that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "assets" / "examples"
DEFAULT = "digit_3"


def example_path(name: str) -> str:
    """Find an example picture by name; a name that is not in the list gives the default, so that nothing else can be opened."""
    return str(FOLDER / f"{name if name in example_names() else DEFAULT}.png")


def example_names() -> list[str]:
    """List the examples, digits first."""
    return sorted((path.stem for path in FOLDER.glob("*.png")), key=lambda name: (not name.startswith("digit_"), name))


def world_of(path: str) -> str | None:
    """Tell what a picture shows, "digits" or "clothes", if it is an example; None for any other."""
    if Path(path).parent != FOLDER:
        return None
    return "digits" if Path(path).stem.startswith("digit_") else "clothes"
