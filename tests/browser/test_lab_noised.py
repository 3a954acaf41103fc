"""Rows N5 to N7 on the picture: own endpoints, L_T, one pixel's histogram and posterior against the library; a link; pictures of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from reading import shown_error
from walk import T_SLIDER, check_language, eventually, exact, set_range

from ddpm_space import noising
from ddpm_space.images import load_image
from ddpm_space.notes.elbo import bits_per_dim, prior_kl
from ddpm_space.notes.reverse import q_posterior
from ddpm_space.schedule import NoiseSchedule
from ddpm_space.ui.example_files import example_path

pytestmark = pytest.mark.proof

PIXELS = "c => Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).filter((_, i) => i % 4 === 0)"
NOISED, PIXEL, POSTERIOR = (f"[data-panel=lab-{name}]" for name in ("noising", "pixel", "posterior"))


def shown(page, panel: str, quantity: str) -> float:
    return float(page.locator(f"{panel} [data-quantity='{quantity}']").get_attribute("data-exact") or "nan")


def close(value: float, expected: float) -> bool:
    return math.isclose(value, expected, rel_tol=1e-6)


def near(page, panel: str) -> None:
    page.locator(panel).scroll_into_view_if_needed()
    page.wait_for_selector(f"{panel} .lab-stage[data-state=drawn]")


@pytest.mark.row("N8", "L_T")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_own_endpoints_and_what_the_end_knows(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    x_0 = load_image(example_path("digit_3"), size=28).double()
    page.locator("[data-control='noising.T'] [data-word='50']").click()
    ends = []
    for name, place in (("beta_1", 100), ("beta_T", 185)):
        set_range(page.locator(f"[data-control='noising.{name}'] input"), place)
        ends.append(float(f"{math.exp(math.log(1e-5) + place / 200 * math.log(0.5 / 1e-5)):.3g}"))
    chain = NoiseSchedule.linear(50, *ends)
    eventually(lambda: close(exact(page, "alpha_bar_T"), chain.terminal_alpha_bar), lambda: str(exact(page, "alpha_bar_T")))
    bits = float(bits_per_dim(prior_kl(x_0, chain.alpha_bar[-1]).sum(), x_0.numel()))
    assert close(exact(page, "L_T"), bits)
    page.locator("[data-control='noising.schedule'] [data-word='cosine']").click()
    eventually(lambda: close(exact(page, "alpha_bar_T"), NoiseSchedule.cosine(50).terminal_alpha_bar))
    assert page.locator("[data-control='noising.beta_1']").is_hidden()
    check_language(page, lang)


@pytest.mark.row("N5", "single_steps")
@pytest.mark.row("N6", "one_jump")
@pytest.mark.row("N7", "posterior")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_pixel_s_histogram_and_posterior(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    chain, picture = NoiseSchedule.linear(), load_image(example_path("digit_3"), size=28)
    set_range(page.locator(T_SLIDER), 400)
    near(page, PIXEL)
    box = page.locator(f"{PIXEL} .pixel-picture").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 15.5 / 28, box["y"] + box["height"] * 12.5 / 28)
    value = float(picture[0, 0, 12, 15])
    mean = math.sqrt(float(chain.alpha_bar[400])) * value
    eventually(lambda: close(shown(page, PIXEL, "pixel_mean"), mean), lambda: str(shown(page, PIXEL, "pixel_mean")))
    variance = 1 - float(chain.alpha_bar[400])
    assert close(shown(page, PIXEL, "pixel_variance"), variance)
    for route in ("steps", "jump"):
        assert abs(shown(page, PIXEL, f"pixel_mean_{route}") - mean) < 4 * math.sqrt(variance / 5000)
        assert abs(shown(page, PIXEL, f"pixel_variance_{route}") - variance) < 4 * variance * math.sqrt(2 / 5000)
        panel = page.locator(PIXEL)
        assert shown_error(panel, f"pixel_mean_{route}") == pytest.approx(math.sqrt(variance / 5000), rel=0.04)
        assert shown_error(panel, f"pixel_variance_{route}") == pytest.approx(variance * math.sqrt(2 / 5000), rel=0.04)
        freedom = shown(page, PIXEL, "pixel_freedom")
        assert abs(shown(page, PIXEL, f"pixel_chi2_{route}") - freedom) < 4 * math.sqrt(2 * freedom)
    near(page, POSTERIOR)
    set_range(page.locator("[data-control='posterior.s'] input"), 60)
    x_t = noising.noise_image(picture, chain, 250, seed=0).x_t[0, 0, 12, 15].double()
    mu_tilde, beta_tilde = q_posterior(picture[0, 0, 12, 15].double(), x_t, chain.alpha_bar[250], chain.alpha_bar[60])
    eventually(lambda: close(shown(page, POSTERIOR, "beta_tilde"), float(beta_tilde)))
    assert shown(page, POSTERIOR, "mu_tilde") == pytest.approx(float(mu_tilde), rel=1e-5)
    for name in ("mu_tilde", "beta_tilde", "evidence"):
        assert shown(page, POSTERIOR, f"{name}_difference") < 1e-9
        assert shown(page, POSTERIOR, f"{name}_bayes") == pytest.approx(shown(page, POSTERIOR, name), rel=1e-8)
    scale = math.sqrt(1 - float(chain.alpha_bar[250]))
    z = (float(x_t) - math.sqrt(float(chain.alpha_bar[250])) * value) / scale
    assert shown(page, POSTERIOR, "evidence") == pytest.approx(math.exp(-z * z / 2) / scale / math.sqrt(2 * math.pi), rel=1e-5)
    check_language(page, lang)


def test_a_link_restores_picture_chain_pixel_and_t(open_page: Callable, live_app: str) -> None:
    page = open_page().page
    page.locator(f"{NOISED} [data-example=digit_7]").click()
    page.locator("[data-control='noising.T'] [data-word='200']").click()
    set_range(page.locator(T_SLIDER), 120)
    page.locator("[data-control='noising.schedule'] [data-word='cosine']").click()
    set_range(page.locator("[data-control='pixel.row'] input"), 5)
    eventually(
        lambda: all(
            part in page.evaluate("location.href") for part in ("picture=digit_7", "noising.t=120", "noising.schedule=cosine", "pixel.row=5")
        ),
        lambda: page.evaluate("location.href"),
    )
    page.reload()
    eventually(lambda: page.locator("[data-lab=noising][data-state=drawn]").count() == 1)
    assert exact(page, "t") == 120 and exact(page, "alpha_bar") == float(NoiseSchedule.cosine(200).alpha_bar[120])
    assert page.locator(f"{NOISED} [data-example=digit_7]").get_attribute("aria-checked") == "true"
    near(page, PIXEL)
    assert page.locator("[data-control='pixel.row'] input").input_value() == "5"


def test_a_drawing_becomes_the_picture(open_page: Callable) -> None:
    page = open_page().page
    page.locator(f"{NOISED} [data-own=draw]").click()
    board = page.locator(f"{NOISED} .drawing")
    board.scroll_into_view_if_needed()
    box = board.bounding_box()
    across, middle = (lambda share: box["x"] + box["width"] * share), box["y"] + box["height"] / 2
    page.mouse.move(across(0.2), middle)
    page.mouse.down()
    page.mouse.move(across(0.8), middle, steps=5)
    page.mouse.up()
    clean = page.locator(f"{NOISED} .role-x0 canvas")

    def line() -> bool:
        x_0 = np.array(clean.evaluate(PIXELS)).reshape(28, 28)
        return bool(x_0[14, 14] > 200 and x_0[3].max() == 0 and x_0[14, 1] == 0)

    eventually(line)
    assert page.locator(f"{NOISED} .own-picture").is_visible() and "picture=" not in page.evaluate("location.href")


def test_a_camera_that_is_refused_is_said_and_one_that_is_not_gives_a_frame(open_page: Callable) -> None:
    """By the browser's own path, with Chromium's test camera: permission, stream, frame, and the camera is let go."""
    page = open_page().page  # nobody has permitted anything
    page.locator(f"{NOISED} [data-own=camera]").click()
    eventually(lambda: "permit it" in page.locator(f"{NOISED} .picture-source .error-note").inner_text())
    page = open_page(permissions=["camera"]).page
    clean = page.locator(f"{NOISED} .role-x0 canvas")
    before = clean.evaluate(PIXELS)
    page.locator(f"{NOISED} [data-own=camera]").click()
    page.wait_for_function("document.querySelector('[data-panel=lab-noising] video').videoWidth > 0")
    page.evaluate("() => { window.track = document.querySelector('[data-panel=lab-noising] video').srcObject.getTracks()[0]; }")
    page.get_by_role("button", name="Take this frame").first.click()
    page.locator(f"{NOISED} .own-picture").wait_for()
    assert page.locator(f"{NOISED} video").is_hidden()
    assert page.evaluate("track.readyState") == "ended", "the camera's light would stay on"
    eventually(lambda: clean.evaluate(PIXELS) != before)
    assert np.ptp(clean.evaluate(PIXELS)) > 50, "the test camera's picture is not of one gray"
