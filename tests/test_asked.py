"""What a lab may be asked: good values come through, bad ones name the value and the fix; and the two addresses that serve them."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from PIL import Image
from starlette.applications import Starlette
from starlette.testclient import TestClient

from ddpm_space.errors import TextError
from ddpm_space.images import load_image
from ddpm_space.notes.equations import EQUATIONS
from ddpm_space.ui import routes
from ddpm_space.ui.asked import MAX_SIDE, Asked
from ddpm_space.ui.example_files import example_path
from ddpm_space.ui.labs import LABS


def asked(value: Any) -> Asked:
    return Asked({"x": value})


def png(width: int, height: int) -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (200, 200, 200)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_numbers_come_through() -> None:
    assert asked(3).whole("x", 0, 5) == 3 and asked(3.0).whole("x", 0, 5) == 3
    assert asked(2.5).number("x", 0, 5) == 2.5 and asked(0).number("x", 0, 5) == 0.0
    assert asked("b").choice("x", ("a", "b")) == "b"
    assert [asked(value).flag("x") for value in (True, False, 1, "true", None)] == [True, False, False, False, False]


@pytest.mark.parametrize("value", [None, "3", True, math.nan, math.inf, -1, 6, 10**400, [3], {}])
def test_what_is_no_number_in_range_is_named(value: Any) -> None:
    for getter in (asked(value).whole, asked(value).number):
        with pytest.raises(TextError, match="x: "):
            getter("x", 0, 5)


def test_a_fraction_is_no_whole_number() -> None:
    with pytest.raises(TextError, match=r"2\.5 is not a whole number from 0 to 5"):
        asked(2.5).whole("x", 0, 5)


@pytest.mark.parametrize("value", [None, "c", 1, ["a"], {"a": 1}])
def test_an_unknown_word_is_named(value: Any) -> None:
    with pytest.raises(TextError, match="use one of a, b"):
        asked(value).choice("x", ("a", "b"))


def test_points_of_the_plane() -> None:
    assert torch.equal(asked([[0, 1], [2, -3.5]]).points("x", 2, 4, 5.0), torch.tensor([[0, 1], [2, -3.5]], dtype=torch.float64))


@pytest.mark.parametrize(
    "value", [None, 3, "ab", [], [[0, 1]], [[0, 1]] * 5, [[0, 1, 2]] * 3, [[0, 1], [2]], [[0, math.nan]] * 3, [[0, 6]] * 3, [["a", "b"]] * 3]
)
def test_what_is_no_set_of_points_is_refused(value: Any) -> None:
    with pytest.raises(TextError, match="between 2 and 4 points"):
        asked(value).points("x", 2, 4, 5.0)


def test_a_picture_is_an_example_or_sent_with_the_question() -> None:
    found = Asked({"picture": {"example": "digit_7"}})
    assert torch.equal(found.picture(1, 28), load_image(example_path("digit_7"), channels=1, size=28)) and found.world() == "digits"
    sent = Asked({"picture": {"png": png(40, 30)}})
    assert sent.picture(3, 28).shape == (1, 3, 28, 28) and sent.world() is None
    assert sent.picture(1, 28).mean() == pytest.approx(200 / 127.5 - 1, abs=1e-6)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (None, "choose or upload"),
        ("digit_3", "choose or upload"),
        ({"png": "not base64!"}, "not an image"),
        ({"png": base64.b64encode(b"GIF89a").decode()}, "not an image"),
        ({"png": png(40, 30)[:60]}, "not an image|damaged"),
        ({}, "not an image"),
        ({"png": png(MAX_SIDE + 1, MAX_SIDE)}, "at most 65536"),
    ],
)
def test_what_is_no_picture_is_refused(picture: Any, words: str) -> None:
    with pytest.raises(TextError, match=words):
        Asked({"picture": picture}).picture(1, 28)


def test_a_name_cannot_reach_another_file() -> None:
    assert torch.equal(Asked({"picture": {"example": "../../models/x"}}).picture(1, 28), load_image(example_path("digit_3"), channels=1, size=28))


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(Starlette(routes=list(routes.lab_routes()))) as made:
        yield made


def test_an_answer_is_the_lab_s(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LABS, "twice", lambda question: {"value": 2 * question.number("x", 0, 1)})
    assert client.post("/ddpm/ask/twice", content=json.dumps({"x": 0.25})).json() == {"value": 0.5}
    refused = client.post("/ddpm/ask/twice", content=json.dumps({"x": 2}))
    assert refused.status_code == 200
    assert refused.json()["error"] == {"key": "error.form.number", "values": {"name": "x", "value": "2", "lowest": "0", "highest": "1"}}


@pytest.mark.parametrize("body", ["[1]", "{", '"x"', "[" * 100_000, " " * (routes.MAX_BODY + 1)])
def test_what_is_no_question_is_refused(client: TestClient, body: str) -> None:
    assert client.post("/ddpm/ask/check", content=body).json()["error"]["key"] == "error.ask.malformed"


def test_an_unknown_lab_is_refused(client: TestClient) -> None:
    assert client.post("/ddpm/ask/nothing", content="{}").json()["error"]["key"] == "error.ask.malformed"


def test_a_failure_is_a_sentence(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Asked) -> dict:
        raise RuntimeError("secret of the server")

    monkeypatch.setitem(LABS, "broken", broken)
    answer = client.post("/ddpm/ask/broken", content="{}")
    assert answer.json()["error"]["key"] == "error.unexpected" and "secret" not in answer.text


def test_too_many_at_once_are_told_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(routes, "MOST_WAITING", 1)
    monkeypatch.setitem(LABS, "slow", lambda question: {"waited": release.wait(30)})
    answers: list[dict] = []
    threads = [threading.Thread(target=lambda: answers.append(client.post("/ddpm/ask/slow", content="{}").json())) for _ in range(routes.AT_ONCE + 1)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    busy: dict = {}
    while "error" not in busy and time.monotonic() < deadline:
        time.sleep(0.1)
        extra = threading.Thread(target=lambda: busy.update(client.post("/ddpm/ask/slow", content="{}").json()))
        extra.start()
        extra.join(0.5)
        threads.append(extra)
    release.set()
    for thread in threads:
        thread.join()
    assert busy["error"]["key"] == "error.busy"
    assert answers == [{"waited": True}] * (routes.AT_ONCE + 1)


def test_a_check_is_the_registry_s(client: TestClient) -> None:
    found = client.post("/ddpm/ask/check", content=json.dumps({"id": "N7.q_posterior", "seed": 3})).json()
    expected = EQUATIONS["N7.q_posterior"].check(torch.Generator().manual_seed(3))
    assert (found["left"], found["right"], found["difference"], found["tolerance"], found["passed"]) == (*expected[1:], True)
    assert client.post("/ddpm/ask/check", content=json.dumps({"id": "N7.nothing", "seed": 3})).json()["error"]["key"] == "error.form.choice"


def test_a_card_has_the_real_source(client: TestClient) -> None:
    for equation_id, equation in EQUATIONS.items():
        card = client.get(f"/ddpm/equation/{equation_id}").json()
        assert card["latex"] == equation.latex and card["meaning"] == {"zh-CN": equation.meaning_zh, "en": equation.meaning_en}
        assert f"def {equation.function.__name__}" in card["code"] or "class " in card["code"]
    assert client.get("/ddpm/equation/N7.nothing").status_code == 404
