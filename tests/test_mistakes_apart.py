"""A mistake is planted in another process: this one goes on computing rightly, and a question that is dropped leaves no process behind."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from ddpm_space.mistakes import MISTAKES, RIGHT, apart, caught_by
from ddpm_space.notes import chain


def test_another_process_finds_what_this_one_would() -> None:
    found = list(apart.caught_apart("off_by_one"))
    assert chain.chain_alpha_bars is RIGHT.chain_alpha_bars
    assert found == caught_by(MISTAKES["off_by_one"], MISTAKES["off_by_one"].equations)


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_is_reported_for_each_of_its_equations(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    apart.main([name])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert tuple(row["id"] for row in rows) == MISTAKES[name].equations
    assert all(float(row["error"]) > float(row["tolerance"]) for row in rows)


def test_dropping_the_question_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen:
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(apart.subprocess, "Popen", noted)
    running = apart.caught_apart("std_as_variance")
    next(running)
    running.close()
    assert started[0].poll() is not None


def test_an_unknown_mistake_is_refused() -> None:
    with pytest.raises(ValueError, match="use one of variance_as_std"):
        next(apart.caught_apart("nothing"))


def test_a_process_that_fails_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart.sys, "executable", "false")
    with pytest.raises(RuntimeError, match="off_by_one"):
        list(apart.caught_apart("off_by_one"))
