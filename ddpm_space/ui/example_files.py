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


def is_digit(path: str) -> bool:
    """Tell whether a picture is one of the bundled digits, which are of the kind that the bundled model was trained on."""
    return Path(path).parent == FOLDER and Path(path).stem.startswith("digit_")
