"""The app as a server: built, launched and driven over its API, with good and bad input; and the parts of the page that need no browser."""

from __future__ import annotations

import base64
import io
import json
import math
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from ddpm_space import figures, loss, models, noising
from ddpm_space.images import load_image, to_uint8
from ddpm_space.sampling import Frame, SamplingSettings, sample
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui import downloads
from ddpm_space.ui import sampling as sampling_tab
from ddpm_space.ui.asked import Asked
from ddpm_space.ui.example_files import example_names, example_path, world_of
from ddpm_space.ui.forms import FormError, timestep_list, whole_number
from ddpm_space.ui.launch import start
from ddpm_space.ui.model import ModelSlot
from ddpm_space.ui.trajectory import FEWEST_KEPT, Trajectory
from ddpm_space.ui.widgets import encode, error_payload, streamed

DIGIT = example_path("digit_7")
ENDPOINTS = {"/noise_image", "/posterior", "/kl_gaussian", "/compare_routes", "/sample", "/eps_errors", "/bits_per_dim"}


@pytest.fixture(scope="module")
def client(live_app: str) -> Client:
    return Client(live_app, verbose=False)


def unpack(packed: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(packed["b64"]), dtype=packed["dtype"]).reshape(packed["shape"])


def message_of(client: Client, *arguments: object, api_name: str) -> str:
    with pytest.raises(AppError) as raised:
        client.predict(*arguments, api_name=api_name)
    message = str(raised.value)
    assert message.count("\n") == 0 and "Traceback" not in message
    return message


def test_the_api_is_exactly_the_main_actions(client: Client) -> None:
    info = client.view_api(return_format="dict", print_info=False)
    assert set(info["named_endpoints"]) == ENDPOINTS
    assert info["unnamed_endpoints"] == {}
    assert all(endpoint["description"] for endpoint in info["named_endpoints"].values())


def test_the_posterior_is_bayes_rule(client: Client) -> None:
    _, numbers = client.predict(handle_file(DIGIT), "cosine", 321, 100, 7, 28, 1, api_name="/posterior")
    chain = NoiseSchedule.cosine()
    a_t, a_s = float(chain.alpha_bar[321]), float(chain.alpha_bar[100])
    # Precisions of a Gaussian prior and of one observation of it add up.
    prior, seen, factor = 1 - a_s, 1 - a_t / a_s, math.sqrt(a_t / a_s)
    variance = 1 / (1 / prior + factor**2 / seen)
    assert numbers["variance"] == pytest.approx(variance, rel=1e-12) and numbers["std"] == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert numbers["coef_x_0"] == pytest.approx(variance * math.sqrt(a_s) / prior, rel=1e-12)
    assert numbers["coef_x_t"] == pytest.approx(variance * factor / seen, rel=1e-12)
    assert "is not a whole number from -1 to 320" in message_of(client, handle_file(DIGIT), "cosine", 321, 321, 7, 28, 1, api_name="/posterior")


def test_the_kl_of_two_gaussians(client: Client) -> None:
    found = client.predict(1, 2, 0, 1, api_name="/kl_gaussian")
    p, q = torch.distributions.Normal(1.0, 2.0), torch.distributions.Normal(0.0, 1.0)
    assert found["nats"] == pytest.approx(float(torch.distributions.kl_divergence(p, q)), rel=1e-6)
    assert found["bits"] == pytest.approx(found["nats"] / math.log(2), rel=1e-12)
    assert "std_2" in message_of(client, 1, 2, 0, 0, api_name="/kl_gaussian")


def test_noise_image_is_the_library_s(client: Client) -> None:
    picture, numbers = client.predict(handle_file(DIGIT), "cosine", 321, 7, 28, 1, api_name="/noise_image")
    chain = NoiseSchedule.cosine()
    expected = noising.noise_image(load_image(DIGIT, size=28), chain, 321, seed=7)
    assert numbers["alpha_bar_t"] == float(chain.alpha_bar[321])
    assert numbers["signal"] == math.sqrt(chain.alpha_bar[321])
    assert np.array_equal(np.array(Image.open(picture).convert("L")), to_uint8(expected.x_t)[0])


def test_sampling_over_the_api(client: Client, tiny_pipeline: Path) -> None:
    picture, settings = client.predict(3, 5, "fixed_large", "trailing", True, 4, api_name="/sample")
    model = models.load(tiny_pipeline)
    *_, last = sample(model.denoiser, model.shape, SamplingSettings(3, 5, "trailing", "fixed_large", True, 4, 50))
    sheet = np.array(Image.open(picture).convert("L"))
    assert np.array_equal(sheet[:8, :8], to_uint8(last.x_prev[0]))
    assert settings["num_steps"] == 5


def test_the_loss_over_the_api(client: Client, tiny_pipeline: Path) -> None:
    model = models.load(tiny_pipeline)
    x_0 = load_image(DIGIT, size=8)
    errors = client.predict(handle_file(DIGIT), "3, 40", 8, 1, api_name="/eps_errors")
    expected = loss.eps_errors(model.denoiser, x_0, [3, 40], draws=8, seed=1)
    assert [row["t"] for row in errors["errors"]] == [3, 40]
    assert errors["errors"][1]["mse"] == pytest.approx(expected[1].mse, rel=1e-6)
    bound = client.predict(handle_file(DIGIT), 50, 2, "fixed_large", True, 0, api_name="/bits_per_dim")
    *_, last = loss.bound_terms(model.denoiser, x_0, draws=2, variance="fixed_large")
    assert bound["total"]["mean"] == pytest.approx(last.running.mean, rel=1e-6)
    assert bound["total"]["mean"] == pytest.approx(sum(bound[kind]["mean"] for kind in ("L_T", "L_t-1", "L_0")), rel=1e-9)


def test_compare_routes_over_the_api(client: Client) -> None:
    measured = client.predict(handle_file(DIGIT), "linear", 30, 16, 0, api_name="/compare_routes")
    assert measured["variance"]["theory"] == pytest.approx(1 - float(NoiseSchedule.linear().alpha_bar[30]))
    assert measured["coupled_error"] < 1e-5


@pytest.mark.parametrize(
    ("t", "fix"), [(-1, "from 0 to 999"), (1000, "from 0 to 999"), (10**9, "from 0 to 999"), (2.5, "from 0 to 999"), (None, "from 0 to 999")]
)
def test_a_bad_timestep_is_one_sentence(client: Client, t: object, fix: str) -> None:
    assert fix in message_of(client, handle_file(DIGIT), "linear", t, 0, 28, 1, api_name="/noise_image")


@pytest.mark.parametrize("steps", [0, -5, 51, 10**9])
def test_a_bad_number_of_steps_is_one_sentence(client: Client, steps: int) -> None:
    assert "num_steps" in (message := message_of(client, 2, steps, "fixed_small", "trailing", True, 0, api_name="/sample"))
    assert str(steps) in message and "1 to 50" in message


def test_unknown_choices_list_the_known_ones(client: Client) -> None:
    assert "cosine" in message_of(client, handle_file(DIGIT), "quadratic", 5, 0, 28, 1, api_name="/noise_image")
    assert "fixed_large" in message_of(client, 2, 5, "learned", "trailing", True, 0, api_name="/sample")


def test_bad_pictures_are_one_sentence_and_the_app_goes_on(client: Client, tmp_path: Path) -> None:
    text, huge = tmp_path / "note.png", tmp_path / "huge.png"
    text.write_text("not a picture")
    Image.new("1", (20_000, 20_000)).save(huge)
    assert "note.png" in message_of(client, handle_file(text), "linear", 5, 0, 28, 1, api_name="/noise_image")
    assert "400000000 pixels" in message_of(client, handle_file(huge), "linear", 5, 0, 28, 1, api_name="/noise_image")
    assert "no image" in message_of(client, None, "linear", 5, 0, 28, 1, api_name="/noise_image")
    assert client.predict(handle_file(DIGIT), "linear", 5, 0, 28, 1, api_name="/noise_image")[1]["t"] == 5


def test_without_a_model_the_page_opens_and_noising_works(tmp_path: Path) -> None:
    app = start(ModelSlot(str(tmp_path / "nothing")), quiet=True)
    try:
        client = Client(app.local_url, verbose=False)
        assert client.predict(handle_file(DIGIT), "linear", 5, 0, 28, 1, api_name="/noise_image")[1]["t"] == 5
        assert "There is no folder" in message_of(client, 2, 5, "fixed_small", "trailing", True, 0, api_name="/sample")
    finally:
        app.close()


def test_the_page_brings_its_own_head_and_asks_no_other_host(live_app: str) -> None:
    with urllib.request.urlopen(live_app) as answer:
        html = answer.read().decode()
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    language, panels, gradio = (html.index(text) for text in ("ddpm/language.js", "ddpm/app.js", 'src="./assets/index'))
    assert language < panels < gradio
    for name in ("language.js", "app.js", "page.css"):
        with urllib.request.urlopen(f"{live_app}ddpm/{name}") as file:
            assert file.headers["Cache-Control"] == "no-cache"


def test_a_stopped_run_stops_working_and_can_be_looked_at(tiny_pipeline: Path) -> None:
    slot = ModelSlot(str(tiny_pipeline))
    kept = Trajectory()
    running = sampling_tab.frames(slot, kept, asked_for(images=2, steps=50))
    next(running)
    running.close()
    assert [frame.index for frame in kept.frames] == [0]
    film = json.loads(sampling_tab.halt(kept))
    assert film["halted"] and film["finished"] is False and film["x_t"]["shape"] == [2, 2, 8, 8]


def asked_for(**changes: object) -> Asked:
    return Asked({"images": 2, "steps": 5, "variance": "fixed_small", "spacing": "trailing", "clip": True, "seed": 0, **changes})


def test_a_run_that_takes_too_long_ends_like_a_stopped_one(tiny_pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling_tab, "RUN_SECONDS", 0)
    *_, film = sampling_tab.frames(ModelSlot(str(tiny_pipeline)), Trajectory(), asked_for(steps=50))
    assert film["finished"] is False and film["limit"] == 0 and film["done"] is True


@pytest.mark.parametrize(
    ("changes", "name"), [({"images": 37}, "images"), ({"steps": 51}, "steps"), ({"seed": -1}, "seed"), ({"variance": "learned"}, "variance")]
)
def test_bad_settings_of_a_run_are_named(tiny_pipeline: Path, changes: dict, name: str) -> None:
    (payload,) = sampling_tab.frames(ModelSlot(str(tiny_pipeline)), Trajectory(), asked_for(**changes))
    assert payload["error"]["values"]["name"] == name


def test_what_is_taken_along_is_the_run_itself(tiny_pipeline: Path) -> None:
    kept = Trajectory()
    list(sampling_tab.frames(ModelSlot(str(tiny_pipeline)), kept, asked_for(images=3, steps=9)))
    question = json.dumps({"asked": {"kind": "png"}})
    file = json.loads(sampling_tab.save(question, kept))["file"]
    sheet = np.array(Image.open(io.BytesIO(base64.b64decode(file["b64"]))))
    scale = 768 // 17
    assert file["name"] == "ddpm_9_steps.png" and sheet.shape == (17 * scale, 17 * scale)
    assert np.array_equal(sheet[::scale, ::scale][:8, 9:], to_uint8(kept.frames[-1].x_prev[1]))
    gif = Image.open(io.BytesIO(base64.b64decode(json.loads(sampling_tab.save(question.replace("png", "gif"), kept))["file"]["b64"])))
    assert gif.n_frames == 10, "x_T, and what each of 9 steps arrived at"
    assert np.array_equal(np.array(gif.convert("L"))[::scale, ::scale][:8, :8], to_uint8(kept.frames[0].x_t[0]))
    bad = json.loads(sampling_tab.save(json.dumps({"asked": {"kind": "exe"}}), kept))
    assert bad["error"]["key"] == "error.form.choice"


def test_a_long_run_of_many_images_makes_no_large_gif() -> None:
    kept = Trajectory()
    for index in range(80):
        kept.add(plain_frame(index, 80, torch.rand(36, 3, 64, 64) * 2 - 1))
    assert len(downloads.trajectory_gif(kept)) < 8_000_000


def test_a_long_run_keeps_a_bounded_number_of_whole_steps() -> None:
    kept = Trajectory()
    x = torch.zeros(64, 1, 64, 64)
    for index in range(200):
        kept.add(plain_frame(index, 200, x))
    indices = [frame.index for frame in kept.frames]
    assert FEWEST_KEPT <= len(indices) <= FEWEST_KEPT + 2
    assert indices[0] == 0 and indices[-1] == 199
    assert kept.finished


def plain_frame(index: int, total: int, x: torch.Tensor) -> Frame:
    return Frame(index, total, total - index, total - index - 1, x, x, x, x, "fixed_small")


def test_an_opened_step_adds_up(tiny_pipeline: Path) -> None:
    slot = ModelSlot(str(tiny_pipeline))
    schedule = slot.get().denoiser.schedule
    kept = Trajectory()
    list(sampling_tab.frames(slot, kept, asked_for(images=3, steps=10, variance="fixed_large", spacing="linspace", seed=1)))
    payload = sampling_tab.step_payload(kept, 4, 2)
    mixed = payload["coef_x_0"] * unpack(payload["x_0_hat"]) + payload["coef_x_t"] * unpack(payload["x_t"])
    assert np.abs(mixed - unpack(payload["mu"])).max() < 1e-6
    assert np.abs(mixed + payload["sigma"] * unpack(payload["noise"]) - unpack(payload["x_s"])).max() < 1e-5
    t, s = payload["t"], payload["s"]
    beta_ts = 1 - schedule.alpha_bar[t] / schedule.alpha_bar[s]
    assert payload["sigma"] == pytest.approx(math.sqrt(beta_ts), rel=1e-12), "fixed_large is beta of the step"
    assert payload["beta_ts"] == pytest.approx(float(beta_ts), rel=1e-12) and payload["sigma2"] == pytest.approx(float(beta_ts), rel=1e-12)
    assert payload["beta_tilde"] == pytest.approx(float(beta_ts * (1 - schedule.alpha_bar[s]) / (1 - schedule.alpha_bar[t])), rel=1e-12)


def test_payloads_keep_what_was_computed() -> None:
    chain = NoiseSchedule.sigmoid(200)
    x_0 = load_image(DIGIT, channels=3, size=16)
    payload = json.loads(encode(figures.noised(noising.noise_image(x_0, chain, 60, seed=2), chain)))
    assert np.array_equal(unpack(payload["schedule"]["alpha_bar"]), chain.alpha_bar.numpy())
    signal, sigma = math.sqrt(chain.alpha_bar[60]), math.sqrt(1 - chain.alpha_bar[60])
    mixed = signal * unpack(payload["x_0"]).astype(np.float64) + sigma * unpack(payload["eps"])
    assert np.abs(mixed - noising.noise_image(x_0, chain, 60, seed=2).x_t[0].numpy()).max() < 1e-6


@pytest.mark.parametrize(("text", "expected"), [("5, 1，9", [1, 5, 9]), (" 7 ", [7]), ("3、3 4", [3, 4])])
def test_timesteps_are_read(text: str, expected: list[int]) -> None:
    assert timestep_list(text, 10) == expected


@pytest.mark.parametrize("text", ["", "ten", "-1", "10", "1.5", "1,,x", "9" * 30, ",".join("012345678")])
def test_bad_timesteps_are_refused(text: str) -> None:
    with pytest.raises(FormError):
        timestep_list(text, 10)


@pytest.mark.parametrize("value", [None, 1.5, float("nan"), float("inf"), -1, 2**40, True])
def test_bad_whole_numbers_are_refused(value: object) -> None:
    with pytest.raises(FormError):
        whole_number(value, "seed")


def test_an_unforeseen_error_becomes_one_general_sentence(caplog: pytest.LogCaptureFixture) -> None:
    @streamed
    def broken() -> Iterator[dict]:
        yield {"fine": 1}
        raise RuntimeError("boom in /secret/path")

    assert list(broken()) == [{"fine": 1}, {"error": {"key": "error.unexpected", "values": {}}}]
    assert "boom" in caplog.text
    assert error_payload(FormError("error.form.whole_number", name="seed", value=None, lowest=0, highest=9))["error"]["values"]["value"] is None


def test_only_listed_examples_are_opened() -> None:
    assert len([name for name in example_names() if name.startswith("digit_")]) == 10
    assert example_path("../../../etc/passwd") == example_path("digit_3")
    assert [world_of(path) for path in (DIGIT, example_path("coat"), "/tmp/digit_1.png")] == ["digits", "clothes", None]
