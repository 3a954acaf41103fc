"""Row N8 on the loss tab: the X-ray of ten digits beside its floor, and a picture as a lossy code, against the library; a picture of one's own."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from walk import await_phase, check_language, eventually, open_tab, press, set_range, text

from ddpm_space import loss, models
from ddpm_space.bound import full_bound
from ddpm_space.images import load_image, quantize
from ddpm_space.ui.example_files import example_path
from ddpm_space.ui.labs import loss_runs
from ddpm_space.ui.worlds import digit_pictures, perfect_denoiser, ten_digits

pytestmark = pytest.mark.proof

BOUND, LOSSY, ERRORS = "[data-panel=lab-bound]", "[data-panel=lab-lossy]", "[data-panel=lab-errors]"


def choose(page, control: str, word: str) -> None:
    page.locator(f"[data-control='{control}'] [data-word='{word}']").click()


@pytest.mark.row("N8", "bound")
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_perfect_network_of_ten_digits_meets_its_floor(open_page: Callable, tiny_pipeline: Path, lang: str) -> None:
    page = open_page(lang).page
    model = models.load(tiny_pipeline)
    open_tab(page, "loss", lang)
    for control, word in (("bound.pictures", "digits"), ("bound.network", "perfect"), ("bound.draws", "8"), ("bound.variance", "fixed_small")):
        choose(page, control, word)
    press(page, "bound.run", lang)
    await_phase(page, "lab-bound")
    perfect = perfect_denoiser(ten_digits(1, 8), model.denoiser.schedule)
    *_, last = loss.bound_terms(perfect, digit_pictures(1, 8), draws=8, variance="fixed_small")
    assert float(page.locator(f"{BOUND} .verdict").get_attribute("data-exact")) == pytest.approx(last.running.mean, rel=1e-6)
    note = page.locator(f"{BOUND} [data-quantity=excess]")
    excess, error = (float(note.get_attribute(f"data-{name}")) for name in ("exact", "se"))
    assert abs(excess) < 4 * error
    shares = [float(cell.get_attribute("data-exact")) for cell in page.locator(f"{BOUND} tr[data-stretch]").all()]
    assert sum(shares) == pytest.approx(last.running.mean, rel=1e-9)
    choose(page, "bound.network", "model")
    press(page, "bound.run", lang)
    await_phase(page, "lab-bound")
    eventually(lambda: float(note.get_attribute("data-exact")) > 10 * float(note.get_attribute("data-se")))
    check_language(page, lang)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_picture_s_rate_and_distortion_are_the_library_s(open_page: Callable, tiny_pipeline: Path, lang: str) -> None:
    page = open_page(lang).page
    open_tab(page, "loss", lang)
    page.locator(f"{LOSSY} [data-example=digit_8]").click()
    press(page, "lossy.run", lang)
    await_phase(page, "lab-lossy")
    denoiser = models.load(tiny_pipeline).denoiser
    copies = quantize(load_image(example_path("digit_8"), size=8)).repeat(4, 1, 1, 1)
    points = {point.t: point for point in full_bound(denoiser, copies, variance="fixed_large").rate_distortion()}
    verdict = page.locator(f"{LOSSY} .verdict")
    seen = set()
    for place in (0, 40, 100):
        set_range(page.locator("[data-control='lossy.place'] input"), place)
        page.wait_for_timeout(200)
        t, rate, rmse = (float(verdict.get_attribute(f"data-{name}")) for name in ("t", "rate", "rmse"))
        assert (rate, rmse) == pytest.approx((points[int(t)].rate, points[int(t)].rmse), rel=1e-6)
        seen.add(t)
    assert len(seen) == 3 and {0.0, 49.0} <= seen
    check_language(page, lang)


def test_a_picture_of_one_s_own_is_measured_as_the_library_reads_it(open_page: Callable, tiny_pipeline: Path, tmp_path: Path) -> None:
    page = open_page().page
    own = tmp_path / "own.png"
    Image.linear_gradient("L").resize((40, 40)).save(own)
    open_tab(page, "loss", "en")
    page.locator("[data-panel=lab-errors] input[type=file]").set_input_files(own)
    page.locator("[data-panel=lab-errors] .own-picture").wait_for()
    page.locator("[data-control='errors.timesteps'] input").fill("20")
    press(page, "errors.run", "en")
    await_phase(page, "lab-errors")
    [expected] = loss.eps_errors(models.load(tiny_pipeline).denoiser, load_image(own, size=8), [20], draws=16)
    shown = page.locator("[data-panel=lab-errors] .error-card[data-t='20'] [data-mse]").get_attribute("data-mse")
    assert float(shown) == pytest.approx(expected.mse, rel=1e-6)
    assert text("seen.unknown", "en") in page.locator("[data-panel=lab-errors] .seen").inner_text(), (
        "nobody knows what a visitor's model was trained on"
    )
    note = tmp_path / "note.png"
    note.write_text("not a picture")
    page.locator("[data-panel=lab-errors] input[type=file]").set_input_files(note)
    eventually(lambda: "note.png" in page.locator("[data-panel=lab-errors] .picture-source .error-note").inner_text())


def download(page, panel: str) -> tuple[str, list[dict[str, str]]]:
    """Press a run's CSV button; returns the file's name and its rows as text."""
    with page.expect_download() as waiting:
        page.locator(f"{panel} [data-kind=csv]").click()
    with open(waiting.value.path(), encoding="utf-8", newline="") as file:
        return waiting.value.suggested_filename, list(csv.DictReader(file, strict=True))


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    """The numbers of a column, NaN for what the run does not know."""
    return [float(row[name] or "nan") for row in rows]


def test_a_bound_s_table_is_the_library_s(open_page: Callable, tiny_pipeline: Path) -> None:
    page = open_page("zh").page
    open_tab(page, "loss", "zh")
    assert page.locator(f"{BOUND} [data-kind=csv]").is_hidden(), "nothing to save yet"
    choose(page, "bound.draws", "4")
    choose(page, "bound.variance", "fixed_small")
    page.locator("[data-control='bound.clip'] input").uncheck()
    page.locator("[data-control='bound.seed'] input").fill("9")
    press(page, "bound.run", "zh")
    await_phase(page, "lab-bound")
    # What is saved belongs to the run, not to what is chosen after it.
    page.locator("[data-control='bound.seed'] input").fill("10")
    name, rows = download(page, BOUND)
    assert name == "ddpm_bound_tiny_mine_50of50steps_fixed_small_unclipped_4draws_seed9.csv"
    model = models.load(tiny_pipeline)
    x_0 = load_image(example_path("digit_3"), size=8)
    terms = list(loss.bound_terms(model.denoiser, x_0, draws=4, variance="fixed_small", clip_x0=False, seed=9))
    assert [row["kind"] for row in rows] == [term.kind for term in terms] == ["L_T", *["L_t-1"] * 49, "L_0"]
    assert [int(row["t"]) for row in rows] == [term.t for term in terms]
    for field, values in (
        ("bits_per_dim", [term.bits.mean for term in terms]),
        ("bits_per_dim_se", [term.bits.standard_error for term in terms]),
        ("cumulative_bits_per_dim", [sum(term.bits.mean for term in terms[: index + 1]) for index in range(51)]),
        ("cumulative_se", [math.hypot(*(term.bits.standard_error for term in terms[: index + 1])) for index in range(51)]),
    ):
        assert column(rows, field) == pytest.approx(values, rel=1e-6, abs=1e-15), field
    for field, values in (
        ("eps_mse", [term.eps_mse.mean for term in terms[1:]]),
        ("eps_mse_se", [term.eps_mse.standard_error for term in terms[1:]]),
        ("weight_simple", [1.0] * 50),
    ):
        assert column(rows[1:], field) == pytest.approx(values, rel=1e-6), field
    # Ho 2020, eq. 12, with beta_tilde as variance: the weight is beta_t / (2 alpha_t (1 - abar_{t-1})); with it the terms are their errors, in bits.
    schedule = model.denoiser.schedule
    for row in rows[1:-1]:
        t = int(row["t"])
        weight = float(schedule.beta[t] / (2 * (1 - schedule.beta[t]) * (1 - schedule.alpha_bar[t - 1])))
        assert float(row["weight_bound_nats"]) == pytest.approx(weight, rel=1e-9)
        assert float(row["bits_per_dim"]) == pytest.approx(weight * float(row["eps_mse"]) / math.log(2), rel=1e-4)
    assert {row["eps_mse"] for row in rows[:1]} | {row["floor_eps_mse"] for row in rows} == {""}
    # To the last bit what the page has, which is what Python sent.
    assert column(rows, "cumulative_bits_per_dim")[-1] == float(page.locator(f"{BOUND} .verdict").get_attribute("data-exact"))
    check_language(page, "zh")


def test_the_floor_stands_in_the_table_where_it_is_known(open_page: Callable) -> None:
    page = open_page().page
    open_tab(page, "loss", "en")
    choose(page, "bound.pictures", "digits")
    press(page, "bound.run", "en")
    await_phase(page, "lab-bound")
    name, rows = download(page, BOUND)
    assert name.startswith("ddpm_bound_tiny_digits_")
    known = [row for row in rows[1:] if row["floor_eps_mse"]]
    assert len(known) > 20 and rows[0]["floor_eps_mse"] == "" and known != rows[1:]
    excess = [float(row["eps_mse"]) - float(row["floor_eps_mse"]) for row in known]
    spread = [math.hypot(float(row["eps_mse_se"]), float(row["floor_eps_mse_se"])) for row in known]
    note = page.locator(f"{BOUND} [data-quantity=excess]")
    assert sum(excess) / len(known) == pytest.approx(float(note.get_attribute("data-exact")), rel=1e-9)
    assert math.hypot(*spread) / len(known) == pytest.approx(float(note.get_attribute("data-se")), rel=1e-9)


def test_the_tables_of_errors_and_of_a_code_are_the_library_s(open_page: Callable, tiny_pipeline: Path) -> None:
    page = open_page().page
    model = models.load(tiny_pipeline)
    open_tab(page, "loss", "en")
    page.locator("[data-control='errors.timesteps'] input").fill("40, 2")  # the lab takes them in order
    press(page, "errors.run", "en")
    await_phase(page, "lab-errors")
    name, rows = download(page, ERRORS)
    x_0 = load_image(example_path("digit_3"), size=8)
    expected, simple = loss.eps_errors(model.denoiser, x_0, [2, 40], draws=16), loss.simple_loss(model.denoiser, x_0, draws=128)
    assert name == "ddpm_errors_tiny_50steps_seed0.csv"
    assert [(row["quantity"], row["t"], row["draws"]) for row in rows] == [("eps_mse", "2", "16"), ("eps_mse", "40", "16"), ("L_simple", "", "128")]
    assert column(rows, "mse") == pytest.approx([*(row.mse for row in expected), simple.mean], rel=1e-6)
    assert column(rows, "mse_se") == pytest.approx([*(row.standard_error for row in expected), simple.standard_error], rel=1e-6)
    choose(page, "lossy.draws", "2")
    press(page, "lossy.run", "en")
    await_phase(page, "lab-lossy")
    name, rows = download(page, LOSSY)
    points = full_bound(model.denoiser, quantize(x_0).repeat(2, 1, 1, 1), variance="fixed_large").rate_distortion()
    assert name == "ddpm_lossy_tiny_50of50steps_fixed_large_clipped_2draws_seed0.csv"
    assert [(int(row["steps_sent"]), int(row["t"])) for row in rows] == [(index + 1, point.t) for index, point in enumerate(points)]
    assert column(rows, "rate_bits_per_dim") == pytest.approx([point.rate for point in points], rel=1e-6)
    assert column(rows, "rmse_255") == pytest.approx([point.rmse for point in points], rel=1e-6)
    assert column(rows, "rate_se")[1:] == sorted(column(rows, "rate_se")[1:]) and min(column(rows, "rmse_255_se")) > 0


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_run_that_takes_too_long_says_so_and_keeps_what_it_has(open_page: Callable, monkeypatch: pytest.MonkeyPatch, lang: str) -> None:
    monkeypatch.setattr(loss_runs, "RUN_SECONDS", 0.0001)
    page = open_page(lang).page
    open_tab(page, "loss", lang)
    for panel, key in (("lab-errors", "errors"), ("lab-bound", "bound"), ("lab-lossy", "lossy")):
        press(page, f"{key}.run", lang)
        await_phase(page, panel)
        status = page.locator(f"[data-panel={panel}] p.status").inner_text()
        assert text("film.limit", lang).format(limit=0.0001) in status, status
        assert text(f"{key}.stopped", lang)[:4] in status, status
    assert page.locator(f"{ERRORS} [data-kind=csv]").is_hidden()
    [row] = download(page, BOUND)[1]
    assert row["kind"] == "L_T" and row["eps_mse"] == ""
    assert len(download(page, LOSSY)[1]) == 1 and page.locator(f"{LOSSY} .lossy-tiles").is_visible()
    check_language(page, lang)


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_result_names_the_model_that_was_chosen_when_it_was_run(open_page: Callable, lang: str) -> None:
    page = open_page(lang).page
    open_tab(page, "loss", lang)
    lab = page.locator(ERRORS)
    assert lab.locator(".model-now").get_attribute("data-model") == "tiny"
    press(page, "errors.run", lang)
    await_phase(page, "lab-errors")
    ran = lab.locator(".ran-with")
    assert [ran.get_attribute(f"data-{name}") for name in ("model", "revision", "prediction")] == ["tiny", "", "epsilon"]
    assert ran.locator(".warning").is_hidden()
    # The button leads to where a model is chosen; what is chosen there is what the next run uses.
    lab.locator("[data-change=model]").click()
    chooser = page.locator("#model-list")
    eventually(lambda: chooser.evaluate("list => list === document.activeElement"))
    chooser.select_option("bundled:mnist")
    page.wait_for_selector('[data-panel=model] .panel-body[data-model="bundled:mnist"]')
    open_tab(page, "loss", lang)
    for panel in (ERRORS, BOUND, LOSSY):
        assert page.locator(f"{panel} .model-now").get_attribute("data-model") == "bundled:mnist"
    assert ran.get_attribute("data-model") == "tiny" and ran.locator(".warning").is_visible(), "the result is still the other model's"
    lab.locator("[data-example=coat]").click()
    page.locator("[data-control='errors.timesteps'] input").fill("500")
    press(page, "errors.run", lang)
    page.wait_for_selector(f'{ERRORS} .ran-with[data-model="bundled:mnist"]')
    assert ran.get_attribute("data-prediction") == "v_prediction" and ran.locator(".warning").is_hidden()
    assert text("seen.outside_digits", lang) in lab.locator(".seen").inner_text()
    await_phase(page, "lab-errors")
    check_language(page, lang)
