// A small network in training (row N8): its loss as it falls towards the Bayes floor, and what it draws now beside the perfect network's particles.
import { extent } from "../axis.js";
import { chart } from "../chart.js";
import { cloud } from "../cloud.js";
import { choice, seed } from "../controls.js";
import { decode } from "../picture.js";
import { runLab } from "../run_lab.js";
import { node, number, say, t, withError } from "../text.js";
import { dots } from "./plane.js";
import { askedWorld, worldControls } from "./world.js";

const CARDS = ["N8.simple_loss", "N3.q_cumulative_sample", "N8.eps_from_v", "N8.x_0_from_eps"];

export function live(root, parts) {
  const controls = {
    ...worldControls(),
    prediction: choice("live.prediction", ["v_prediction", "epsilon", "sample"], "v_prediction"),
    width: choice("live.width", ["32", "64", "128"], "128"),
    length: choice("live.length", ["500", "2500", "6000"], "2500"),
    seed: seed("live.seed"),
  };
  return runLab(root, parts, {
    name: "live",
    controls,
    build,
    cards: CARDS,
    stopKey: "live.stop",
    values: (chosen) => ({ ...askedWorld(chosen), schedule: "linear", T: "1000" }),
  });
}

function build(stage) {
  const status = node("p", { className: "status", role: "status" });
  const bar = node("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", t("live.progress"));
  const verdict = node("p", { className: "verdict" });
  const about = node("p", { className: "note" });
  const sides = ["exact", "network"].map((name) => {
    const caption = node("p", { className: "note", dataset: { caption: name } });
    const holder = node("div", { className: "square-cloud" });
    return { caption, holder, element: node("div", {}, caption, holder), points: cloud(holder, { label: t(`live.${name}_picture`), height: 0.975 }) };
  });
  const apart = node("p", { className: "note" });
  const plot = node("div", { className: "wide-chart" });
  stage.append(status, bar, verdict, about, node("div", { className: "twin-clouds" }, ...sides.map((side) => side.element)), apart, plot);
  const draw = chart(plot);

  const show = (side, packed, payload, points) => {
    const found = decode(packed);
    const box = [-payload.reach, payload.reach, -payload.reach, payload.reach];
    const frames = Object.assign(found, { shape: [1, ...found.shape] });
    side.points.set({ frames, box, labels: { x: t("plane.x"), y: t("plane.y") }, role: side === sides[0] ? "q" : "p", layers: [(canvas) => dots(canvas, points)] });
  };

  return (payload, phase) => {
    const seconds = payload.seconds.toFixed(1);
    const values = { step: payload.step, total: payload.total, seconds, limit: payload.limit };
    const capped = phase === "finished" && payload.step < payload.total;
    const preparing = phase === "running" && payload.step === 0;
    const word = capped ? "live.capped" : preparing ? "live.preparing" : `live.${phase}`;
    status.replaceChildren(say("span", word, values));
    bar.value = payload.step / payload.total;
    const points = decode(payload.points);
    show(sides[0], payload.exact, payload, points);
    caption(sides[0], "live.exact", payload.exact_distance);
    if (payload.samples) {
      show(sides[1], payload.samples, payload, points);
      caption(sides[1], "live.network", payload.distance, { step: payload.samples_step });
      apart.replaceChildren(say("span", "live.apart", { value: withError(payload.apart.value, payload.apart.se) }));
      Object.assign(apart.dataset, { quantity: "apart", exact: String(payload.apart.value) });
    } else {
      sides[1].caption.replaceChildren(say("span", "live.network_empty"));
      apart.replaceChildren();
    }
    verdict.hidden = !payload.judged;
    if (payload.judged) judged(verdict, payload.judged);
    about.replaceChildren(say("span", payload.world.kind === "points" ? "live.verdict_points" : "live.verdict_bumps", { std: number(payload.world.std, 3) }));
    if (payload.curve) draw(lossChart(payload));
    Object.assign(plot.dataset, { quantity: "floor", exact: String(payload.floor.value), se: String(payload.floor.se) });
  };
}

function caption(side, key, found, values = {}) {
  const value = found.value === null ? "–" : withError(found.value, found.se);
  side.caption.replaceChildren(say("span", key, { ...values, value }));
  Object.assign(side.caption.dataset, { quantity: "distance", exact: String(found.value), se: String(found.se) });
}

function judged(verdict, found) {
  const shown = Object.fromEntries(["loss", "floor", "excess"].map((name) => [name, withError(found[name].value, found[name].se)]));
  verdict.replaceChildren(say("span", "live.verdict", { ...shown, above: number(100 * found.above, 2), draws: found.draws }));
  Object.assign(verdict.dataset, { quantity: "above", exact: String(found.above) });
}

function lossChart(payload) {
  const [step, loss] = [payload.curve.step, payload.curve.loss].map(decode);
  const floor = payload.floor.value;
  const [low, high] = extent([...loss, floor], { positive: true });
  return {
    title: t("live.curve"),
    summary: t("live.curve_label"),
    x: { min: 0, max: payload.total, label: t("live.step_axis"), symbol: "k" },
    y: { min: low / 1.15, max: high * 1.1, label: t("live.loss_axis"), log: high > 6 * low },
    lines: [
      { name: t("live.loss_line"), role: "p", x: step, y: loss },
      { name: t("live.floor_line"), role: "q", x: [0, payload.total], y: [floor, floor], dashed: true },
    ],
    height: 230,
  };
}
