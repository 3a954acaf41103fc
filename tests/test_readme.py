"""The README keeps its promises: front matter, file tree, commands and quick starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from training.evaluation.steps_report import Findings, as_summary, as_table

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
FRONT_MATTER = yaml.safe_load(TEXT.split("---")[1])
QUICK_STARTS = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)
TEST_COMMAND = "pip install -r requirements.txt -r requirements-dev.txt && pytest -n 2 --dist loadfile"


def test_front_matter_is_what_a_space_accepts() -> None:
    pins = dict(re.findall(r"^(\w+)==([\w.]+)", (ROOT / "requirements.txt").read_text(), flags=re.M))
    assert FRONT_MATTER["sdk"] == "gradio" and FRONT_MATTER["sdk_version"] == pins["gradio"]
    assert (ROOT / FRONT_MATTER["app_file"]).is_file()
    assert len(FRONT_MATTER["short_description"]) <= 60
    colours = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}
    assert {FRONT_MATTER["colorFrom"], FRONT_MATTER["colorTo"]} <= colours
    assert (ROOT / "pre-requirements.txt").read_text().count(f"torch=={pins['torch']}+cpu") == 1


def test_ci_runs_the_commands_as_written() -> None:
    assert f"    {TEST_COMMAND}\n" in TEXT and TEST_COMMAND in (ROOT / ".ci" / "run").read_text()
    assert "    pip install -r requirements.txt && python app.py\n" in TEXT


def test_file_tree_lists_every_module_with_a_line() -> None:
    tree = re.findall(r"^    ( *)(\S+) {2,}(\S.*)$", TEXT.split("## What is where")[1].split("\n## ")[0], flags=re.M)
    listed, folders = set(), []
    for indent, name, _ in tree:
        folders = folders[: len(indent) // 2]
        listed.add("".join(folders) + name)
        if name.endswith("/"):
            folders.append(name)
    modules = {
        path.relative_to(ROOT).as_posix() for top in ("ddpm_space", "training") for path in (ROOT / top).rglob("*.py") if path.name != "__init__.py"
    }
    assert modules - listed == set(), "modules the README's tree lacks"
    assert {name for name in listed if not (ROOT / name).exists()} == set(), "lines of the tree that name nothing"


COLUMNS = ("ddpm-small", "ddpm-large", "ddpm-analytic", "ddpm-small-quadratic", "ddpm-analytic-optimal")


def test_bits_per_dim_in_fewer_steps_are_those_of_the_cells() -> None:
    cells = ROOT / "docs" / "quality" / "mnist" / "cells"
    for text, title in ((TEXT, "| steps | β̃_t |"), (CHINESE, "| 步数 | β̃_t |")):
        rows = text.split(title)[1].split("\n\n")[0].splitlines()[2:]
        assert len(rows) >= 4
        for row in rows:
            steps, *shown = (cell.strip() for cell in row.strip("|").split("|"))
            for name, words in zip(COLUMNS, shown, strict=True):
                file = cells / f"bits-{name}-{steps.replace(',', '')}-0.json"
                total = json.loads(file.read_text(encoding="utf-8"))["bits_per_dim"]["total"] if file.exists() else None
                assert words == ("" if total is None else f"{total['mean']:.3f} ± {total['standard_error']:.3f}"), file


def test_distances_in_fewer_steps_are_those_of_the_cells() -> None:
    folder = ROOT / "docs" / "quality" / "mnist"
    findings = Findings(folder)
    summary = as_summary(findings)
    assert (folder / "summary.md").read_text(encoding="utf-8") == summary and (folder / "table.md").read_text(encoding="utf-8") == as_table(findings)
    assert summary in TEXT
    # The Chinese rows have other words, and the same figures in the same places and weight.
    chinese = CHINESE.split("| 采样方法 |")[1].split("\n\n")[0]
    assert [row.split("|")[2:] for row in chinese.splitlines()[1:]] == [row.split("|")[2:] for row in summary.splitlines()[1:]]


def test_pictures_and_links_exist() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", TEXT)
    assert targets and [target for target in targets if not (ROOT / target).exists()] == []


@pytest.mark.parametrize("number", range(len(QUICK_STARTS)))
def test_quick_start_runs(number: int) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    result = subprocess.run([sys.executable, "-c", QUICK_STARTS[number]], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]


CHINESE = (ROOT / "README.zh.md").read_text(encoding="utf-8")


def figures(text: str) -> list[str]:
    """Every number of the tables, in order."""
    return [number for line in text.splitlines() if line.startswith("|") for number in re.findall(r"\d+\.\d+|\d{3,}", line)]


def test_the_chinese_twin_says_the_same() -> None:
    own = TEXT.split("---", 2)[2].split("## What is where")[0]
    assert re.findall(r"```python\n(.*?)```", CHINESE, flags=re.S) == QUICK_STARTS
    assert figures(CHINESE) == figures(own)
    commands = [line for line in own.splitlines() if re.match(r"    \S", line) and "```" not in line]
    outside_code = [line for line in commands if not any(line in block for block in QUICK_STARTS)]
    assert outside_code and [line for line in outside_code if line not in CHINESE.splitlines()] == []
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", CHINESE)
    assert targets and [target for target in targets if not (ROOT / target).exists()] == []
    assert "HF_ENDPOINT" in CHINESE and "README.zh.md" in TEXT
