"""What the server remembers of its visitors has a bound, however many come."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradio_client import Client

from ddpm_space.ui import launch, sampling
from ddpm_space.ui.model import ModelSlot


def test_the_oldest_visits_are_forgotten(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "MOST_SESSIONS", 3)
    app = launch.start(ModelSlot(str(tiny_pipeline)), quiet=True)
    try:
        sessions = []
        for number in range(5):
            client = Client(app.local_url, verbose=False)
            assert client.predict(number, 1, 0, 1, api_name="/kl_gaussian")["nats"] == pytest.approx(number**2 / 2)
            sessions.append(client.session_hash)
        assert list(app.state_holder.session_data) == sessions[2:]
    finally:
        app.close()


def test_events_leave_few_records(tiny_pipeline: Path) -> None:
    app = launch.start(ModelSlot(str(tiny_pipeline)), quiet=True)
    try:
        assert app._queue.ANALYTICS_MAX_EVENTS == 100
    finally:
        app.close()


def test_a_run_that_is_no_longer_kept_says_so() -> None:
    event = SimpleNamespace(position=0, image=0)
    for answer in (sampling.open_up(None, event), sampling.save('{"asked": {"kind": "png"}}', None)):
        assert json.loads(answer)["error"]["key"] == "error.film.forgotten"
