"""The arrows: a module imports only from the rows above its own."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# One row a line; a row may import from the rows above it and from itself.
ROWS = [
    ["ddpm_space.errors", "ddpm_space.notes", "ddpm_space.priority", "ddpm_space.reasons", "ddpm_space.spacing"],
    ["ddpm_space.images", "ddpm_space.schedule"],
    ["ddpm_space.denoiser"],
    [
        *(
            "ddpm_space.analytic",
            "ddpm_space.exact",
            "ddpm_space.exact_chain",
            "ddpm_space.live",
            "ddpm_space.derivation",
            "ddpm_space.likelihood",
            "ddpm_space.bound",
            "ddpm_space.stratified",
        ),
        *("ddpm_space.mistakes", "ddpm_space.noising", "ddpm_space.loss"),
    ],
    [
        "ddpm_space.scheduler",
        "ddpm_space.scheduler_parts",
        "ddpm_space.sampling",
        "ddpm_space.samplers",
        "ddpm_space.mean_routes",
        "ddpm_space.coupling",
    ],
    ["ddpm_space.cpu_graph", "ddpm_space.fast_forms", "ddpm_space.hub", "ddpm_space.models", "ddpm_space.pipeline_folder"],
    ["ddpm_space.figures"],
    ["ddpm_space.ui"],
    ["app"],
]
ONLY_TORCH = "ddpm_space.notes"
STANDARD_LIBRARY = set(sys.stdlib_module_names)
GRADIO_ONLY_IN = ("ddpm_space.ui", "app")
TRAINING_NEVER = ("ddpm_space.ui", "ddpm_space.figures", "app")
FILES = [path for top in ("ddpm_space", "training") for path in sorted((ROOT / top).rglob("*.py"))] + [ROOT / "app.py"]


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module a file imports, at the top or inside a function; `from a import b` counts as a.b where that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                is_module = (ROOT / inner.replace(".", "/")).with_suffix(".py").exists() or (ROOT / inner.replace(".", "/") / "__init__.py").exists()
                found.add(inner if is_module else str(node.module))
    return found


def within(name: str, parents: list[str] | tuple[str, ...]) -> bool:
    return any(name == parent or name.startswith(parent + ".") for parent in parents)


def row(name: str) -> int | None:
    return next((i for i, names in enumerate(ROWS) if within(name, names)), None)


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_arrows_point_up(path: Path) -> None:
    name, imported = module_name(path), imports(path)
    if within(name, ("training",)):
        assert not [other for other in imported if within(other, TRAINING_NEVER)]
        return
    assert not [other for other in imported if within(other, ("training",))], "the package never imports the training scripts"
    if not within(name, GRADIO_ONLY_IN):
        assert not [other for other in imported if other.split(".")[0] == "gradio"], "only ui and app.py import gradio"
    if within(name, (ONLY_TORCH,)):
        third_party = {other.split(".")[0] for other in imported} - STANDARD_LIBRARY - {"ddpm_space"}
        assert third_party <= {"torch"}, "the notes' mathematics needs torch alone"
    if name == "ddpm_space":
        return  # the package's front door names what lies behind it
    own = row(name)
    assert own is not None, f"{name} has no row: give it one in this test and in CONTRIBUTING.md"
    below = [other for other in imported if (there := row(other)) is not None and there > own]
    assert not below, f"{name} imports {below} from a row below its own"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320, "split it by concept"


def test_no_junk_drawers() -> None:
    assert not [path for path in FILES if path.stem in ("utils", "helpers", "common", "misc")]


def test_top_level_is_the_documented_one() -> None:
    documented = {"app.py", "ddpm_space", "training", "tests", "docs", "requirements.txt", "README.md", "README.zh.md"}
    for_tools = {
        "pre-requirements.txt",
        "requirements-dev.txt",
        "requirements-zerogpu.txt",
        "pyproject.toml",
        "LICENSE",
        "CITATION.cff",
        "CONTRIBUTING.md",
    }
    made_by_tools = {"build", "dist", "runs"}
    present = {path.name for path in ROOT.iterdir() if not path.name.startswith(".") and not path.name.endswith(".egg-info")}
    assert present - documented - for_tools - made_by_tools == set()
