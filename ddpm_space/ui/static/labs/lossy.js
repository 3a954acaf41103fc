// The picture as a lossy code: rate against distortion as x_T, x_{T-1}, ... are sent, and what the receiver sees at a rate that the visitor picks.
import { chart } from "../chart.js";
import { choice, seed, slider, toggle } from "../controls.js";
import { csvButton, fileName } from "../csv.js";
import { decode, paintSheet, tile } from "../picture.js";
import { runLab } from "../run_lab.js";
import { modelInUse, ranWith } from "../run_model.js";
import { worldNote } from "../seen.js";
import { chosenPicture, pictureSource } from "../source.js";
import { ROLE_TEX, node, number, say, t, withError } from "../text.js";
import { VARIANCES, conditions, offerVariances } from "./bound.js";

const STRIP = 8;
const PLACES = 100; // of the slider, from nothing sent to everything but the last step

export function lossy(root, parts) {
  const place = slider("lossy.place", { min: 0, max: PLACES, step: 1, initial: 60, shown: (value) => `${value} %` });
  const controls = {
    model: modelInUse(parts.props.own),
    picture: pictureSource(),
    network: choice("lossy.network", ["model", "perfect"], "model"),
    chain: choice("lossy.chain", ["50", "100", "250", "all"], "100"),
    draws: choice("lossy.draws", ["2", "4", "8"], "4"),
    variance: choice("lossy.variance", VARIANCES, "fixed_large"),
    clip: toggle("lossy.clip", true),
    seed: seed("lossy.seed"),
    place,
  };
  offerVariances(controls);
  return runLab(root, parts, {
    name: "lossy",
    controls,
    build: (stage) => build(stage, place.setting),
    cards: ["N8.kl_term", "N8.x_0_from_eps", "N8.bits_per_dim"],
    values: (chosen) => ({ ...chosen, picture: chosenPicture.value }),
  });
}

function build(stage, place) {
  const status = node("p", { className: "status", role: "status" });
  const verdict = node("p", { className: "verdict" });
  const tiles = [tile({ role: "x0", symbol: ROLE_TEX.x0, textKey: "lossy.sent" }), tile({ role: "xt", symbol: ROLE_TEX.xt, textKey: "lossy.channel" }), tile({ role: "p", symbol: ROLE_TEX.x0hat, textKey: "lossy.guess" })];
  const receiver = node("div", { className: "lossy-tiles" }, ...tiles.map(({ figure }) => figure));
  const caption = node("p", { className: "note" });
  const plots = ["curve", "steps"].map((name) => node("div", { dataset: { chart: name } }));
  const strip = node("div", { className: "lossy-strip" });
  const model = ranWith();
  const saving = csvButton();
  const world = node("p");
  stage.append(status, verdict, model.element, world, saving.element, receiver, caption, node("div", { className: "charts two" }, ...plots), strip, say("p", "lossy.note", {}, "note"));
  const draws = plots.map(chart);
  let shown = null;

  const at = () => {
    if (!shown?.kept) return;
    const { payload, kept, curve } = shown;
    const index = kept.place.reduce((best, each, i) => (Math.abs(each - (place.value / PLACES) * (payload.total - 1)) < Math.abs(kept.place[best] - (place.value / PLACES) * (payload.total - 1)) ? i : best), 0);
    const where = kept.place[index];
    paintSheet(tiles[1].canvas, kept.noisy, [1, ...kept.noisy.shape.slice(1)], 1, index * kept.size);
    paintSheet(tiles[2].canvas, kept.guess, [1, ...kept.guess.shape.slice(1)], 1, index * kept.size);
    const values = { t: kept.t[index], rate: withError(curve.rate[where], curve.rate_se[where]), rmse: withError(curve.rmse[where], curve.rmse_se[where]), own: number(kept.rmse[index], 3) };
    verdict.replaceChildren(say("span", "lossy.verdict", values));
    verdict.dataset.t = String(kept.t[index]);
    verdict.dataset.rate = String(curve.rate[where]);
    verdict.dataset.rmse = String(curve.rmse[where]);
    caption.replaceChildren(say("span", "lossy.own", values));
    caption.dataset.exact = String(kept.rmse[index]);
    specs(payload, curve, where).forEach((spec, i) => draws[i]({ ...spec, onPick: (x) => place.set(nearestPlace(i === 0 ? curve.rate : curve.step, x, payload.total)) }));
    [...strip.children].forEach((child) => child.setAttribute("aria-pressed", String(Number(child.dataset.place) === where)));
  };
  place.subscribe(at);

  return (payload, phase) => {
    const names = ["t", "rate", "rate_se", "rmse", "rmse_se"];
    const curve = Object.fromEntries(names.map((name) => [name, Array.from(decode(payload[name]))]));
    curve.step = curve.t.map((_, index) => index + 1);
    const limit = payload.limit ? [" ", say("span", "film.limit", { limit: payload.limit }, "warning")] : [];
    status.replaceChildren(say("span", `lossy.${payload.limit ? "stopped" : phase}`, { done: curve.t.length, total: payload.total, draws: payload.draws }), ...limit);
    model.show(payload.model);
    world.replaceChildren(...[worldNote(payload.seen.kind)].filter(Boolean));
    saving.show(phase === "running" ? null : () => saved(payload, curve));
    const picture = decode(payload.seen.pictures);
    paintSheet(tiles[0].canvas, picture, picture.shape, 1);
    const kept = payload.kept && unpack(payload.kept);
    shown = { payload, curve, kept };
    receiver.hidden = verdict.hidden = caption.hidden = strip.hidden = !kept;
    if (!kept) {
      specs(payload, curve, null).forEach((spec, index) => draws[index](spec));
      return;
    }
    strip.replaceChildren(...chosenFrames(kept).map((index) => frame(kept, curve, index, (where) => place.set((PLACES * where) / (payload.total - 1)))));
    at();
  };
}

function saved(payload, { t: times, step, rate, rate_se, rmse, rmse_se }) {
  return {
    name: fileName("ddpm_lossy", payload.network === "model" ? payload.model.source : "perfect", `${payload.total}of${payload.T}steps`, ...conditions(payload)),
    columns: { steps_sent: step, t: times, rate_bits_per_dim: rate, rate_se, rmse_255: rmse, rmse_255_se: rmse_se },
  };
}

function unpack(kept) {
  const [noisy, guess] = [decode(kept.x_t), decode(kept.x_0_hat)];
  return { ...kept, noisy, guess, size: noisy.length / noisy.shape[0] };
}

const nearestPlace = (values, x, total) => {
  const best = values.reduce((found, value, index) => (Math.abs(value - x) < Math.abs(values[found] - x) ? index : found), 0);
  return Math.round((PLACES * best) / Math.max(1, total - 1));
};

// Pictures spread evenly over the steps, the last one among them.
const chosenFrames = (kept) => {
  const count = Math.min(STRIP, kept.t.length);
  return Array.from({ length: count }, (_, index) => Math.round((index * (kept.t.length - 1)) / Math.max(1, count - 1)));
};

function frame(kept, curve, index, pick) {
  const canvas = node("canvas", { role: "img" });
  paintSheet(canvas, kept.guess, [1, ...kept.guess.shape.slice(1)], 1, index * kept.size);
  const where = kept.place[index];
  const words = t("lossy.frame", { rate: number(curve.rate[where], 3), rmse: number(curve.rmse[where], 3) });
  canvas.setAttribute("aria-label", words);
  const button = node("button", { type: "button", className: "frame", dataset: { place: String(where) } }, canvas, node("span", {}, words));
  button.addEventListener("click", () => pick(where));
  return button;
}

function specs(payload, curve, where) {
  const most = Math.max(1e-6, ...curve.rate) * 1.02;
  const worst = Math.max(1, ...curve.rmse.map((value, index) => value + curve.rmse_se[index])) * 1.05;
  const band = (values, errors) => ({ low: values.map((value, index) => Math.max(0, value - 2 * errors[index])), high: values.map((value, index) => value + 2 * errors[index]) });
  const symbol = t("lossy.step_symbol");
  return [
    {
      title: t("lossy.chart_curve"),
      x: { min: 0, max: most, label: t("axis.rate"), exact: true, symbol: t("lossy.rate_symbol") },
      y: { min: 0, max: worst, label: t("axis.rmse") },
      areas: [{ name: t("lossy.band"), role: "p", x: curve.rate, ...band(curve.rmse, curve.rmse_se) }],
      lines: [{ name: t("lossy.distortion"), role: "p", x: curve.rate, y: curve.rmse }],
      marker: where === null ? null : curve.rate[where],
    },
    {
      title: t("lossy.chart_steps"),
      x: { min: 1, max: Math.max(2, payload.total), label: t("axis.sent"), symbol },
      y: { min: 0, max: most, label: t("axis.rate") },
      areas: [{ name: t("lossy.band"), role: "q", x: curve.step, ...band(curve.rate, curve.rate_se) }],
      lines: [{ name: t("lossy.rate"), role: "q", x: curve.step, y: curve.rate }],
      marker: where === null ? null : curve.step[where],
    },
  ];
}
