// Maximum likelihood by hand: a Gaussian dragged over data, the likelihood as a landscape, the way up by gradient and the top by formula.
import { chart } from "../chart.js";
import { arrows, cloud, curve as curveLayer, heat } from "../cloud.js";
import { button, choice, seed, slider, toggle } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t } from "../text.js";
import { bellDrag, below, handles, readings, routesTable } from "./measured.js";

const RANGES = { mean: [-3, 3], std: [0.05, 3] };
const LONGEST_ARROW = 1.2;

export function mle(root) {
  const controls = {
    law: choice("mle.law", ["gaussian", "bumps", "tails"], "gaussian"),
    n: slider("mle.n", { min: 5, max: 300, initial: 40, log: true, shown: (value) => String(Math.round(value)) }),
    mu: slider("mle.mu", { min: RANGES.mean[0], max: RANGES.mean[1], step: 0.01, initial: -1.2 }),
    sigma: slider("mle.sigma", { min: RANGES.std[0], max: RANGES.std[1], step: 0.01, initial: 0.5 }),
    natural: toggle("mle.natural", false),
    seed: seed("mle.seed"),
  };
  const settings = () => JSON.stringify(Object.values(controls).map((control) => control.setting?.value));
  // The ascent belongs to the settings it was asked for: the next change takes it away.
  let climbing = null;
  let best = null;
  const inside = (value, [min, max]) => Math.min(max, Math.max(min, value));
  controls.closed = button("mle.closed", () => {
    if (!best) return;
    controls.mu.setting.set(inside(best.best_mean, RANGES.mean));
    controls.sigma.setting.set(inside(Math.sqrt(best.best_variance), RANGES.std));
  });
  controls.climb = button("mle.climb", () => {
    climbing = settings();
    frame.refresh();
  });
  controls.hint = say("p", "gaussian.hint", {}, "note");
  const frame = lab(root, "mle", {
    controls,
    build: (stage, parts) => build(stage, parts, controls),
    values: (chosen) => ({ ...chosen, n: Math.round(chosen.n), climb: climbing === settings() }),
    after: (answer) => {
      best = answer;
    },
    cards: ["N10.log_likelihood", "N10.mle_gaussian", "N10.likelihood_gradient", "N10.cross_entropy", "N10.kl_discrete", "N10.likelihood_split"],
  });
}

function build(stage, { fill }, { mu, sigma }) {
  const verdict = stage.appendChild(node("p", { className: "verdict" }));
  verdict.setAttribute("role", "status");
  const places = stage.appendChild(node("div", { className: "mle-charts" }));
  const over = chart(places.appendChild(node("div", { dataset: { chart: "data" } })));
  const side = places.appendChild(node("div"));
  side.append(say("h3", "mle.surface", {}, "chart-title"));
  const hill = cloud(side.appendChild(node("div", { dataset: { chart: "surface" } })), { label: t("mle.surface").replaceAll("$", ""), height: 0.72 });
  const climbed = side.appendChild(node("div"));
  climbed.setAttribute("role", "status");
  side.append(say("p", "mle.surface_how", {}, "note"));
  const later = below(stage);
  const list = later.appendChild(node("dl"));
  const holder = later.appendChild(node("div"));
  const how = later.appendChild(node("div"));
  const pick = bellDrag(mu, sigma, RANGES);

  return (answer) => {
    const behind = (answer.top - answer.log_likelihood) / answer.n;
    verdict.replaceChildren(say("span", behind < 1e-6 ? "mle.at_top" : "mle.behind", { gap: number(behind, 3), factor: number(Math.exp(-behind), 3) }));
    over(dataSpec(answer, pick));
    const path = answer.path && { means: decode(answer.path.means), logs: decode(answer.path.log_variances) };
    hill.set(surfaceScene(answer, path));
    if (path) hill.play();
    climbed.replaceChildren(...(path ? [climbText(answer)] : []));
    readings(list, [
      ["log_likelihood", "\\log L", answer.log_likelihood, number(answer.log_likelihood, 5)],
      ["top", "\\log L(\\hat\\mu,\\hat\\sigma^2)", answer.top, number(answer.top, 5)],
      ["best_mean", "\\hat\\mu", answer.best_mean, number(answer.best_mean)],
      ["best_std", "\\hat\\sigma", Math.sqrt(answer.best_variance), number(Math.sqrt(answer.best_variance))],
      ["slope_mean", "\\partial\\ell/\\partial\\mu", answer.gradient[0], number(answer.gradient[0], 3)],
      ["slope_log_variance", "\\partial\\ell/\\partial\\ln\\sigma^2", answer.gradient[1], number(answer.gradient[1], 3)],
    ]);
    splitTable(holder, answer.bins);
    how.replaceChildren(say("p", "mle.bins_how", { width: number(answer.bins.width, 1) }, "note"));
    fillCards(fill, answer);
  };
}

function dataSpec(answer, pick) {
  const x = decode(answer.x);
  const heights = decode(answer.bins.heights);
  const [law, model, best] = ["law", "model", "best"].map((name) => decode(answer[name]));
  const data = decode(answer.data);
  return {
    title: t("mle.chart", { n: answer.n }),
    height: 300,
    x: { min: -answer.reach, max: answer.reach, label: t("mle.axis_x"), symbol: "x", exact: true },
    // The axis follows the data, not the model: a narrow model may leave it at the top, and the data stay readable.
    y: { min: 0, max: 1.1 * Math.max(...heights, ...best, 0.5 * Math.min(answer.peak, 4)), label: t("gaussian.axis_density") },
    bars: [{ name: t("mle.data"), role: "x0", edges: decode(answer.bins.edges), heights }],
    lines: [
      { name: t("mle.model"), role: "p", x, y: model },
      { name: t("mle.best"), role: "q", dashed: true, x, y: best },
      { name: t("mle.true_law"), role: "x0", dashed: true, x, y: law },
      { role: "x0", points: true, x: data, y: data.map(() => 0) },
      handles(answer.mu, answer.sigma, answer.peak, answer.flank, "p"),
    ],
    onPick: pick,
    summary: t("mle.chart", { n: answer.n }),
  };
}

function surfaceScene(answer, path) {
  const values = decode(answer.surface.values);
  const box = answer.surface.box;
  const here = [answer.mu, 2 * Math.log(answer.sigma)];
  const count = path ? path.means.length : 1;
  const frames = new Float32Array(2 * count);
  for (let index = 0; index < count; index += 1) frames.set(path ? [path.means[index], path.logs[index]] : here, 2 * index);
  frames.shape = [count, 1, 2];
  const length = Math.hypot(...answer.gradient);
  const scale = Math.min(1, LONGEST_ARROW / length) * 0.999;
  const top = [answer.best_mean, Math.log(answer.best_variance)];
  return {
    frames,
    box,
    role: "p",
    size: 11,
    labels: { x: "μ", y: "ln σ²" },
    perSecond: 12,
    time: (step) => (path ? t("mle.step", { step, total: count - 1 }) : ""),
    layers: [heat({ values, shape: values.shape }, box, "q"), ...(path ? [curveLayer(Array.from(path.means), Array.from(path.logs), "p")] : [])],
    above: [cross(...top), ...(path || length < 1e-9 ? [] : [arrows({ values: Float32Array.of(...here, ...answer.gradient.map((part) => scale * part)), count: 1 }, "ink")])],
  };
}

// The top, by the closed form.
function cross(across, up) {
  return ({ context, x, y, colour }) => {
    const [left, top] = [x(across), y(up)];
    context.strokeStyle = colour("ink");
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(left - 7, top);
    context.lineTo(left + 7, top);
    context.moveTo(left, top - 7);
    context.lineTo(left, top + 7);
    context.stroke();
  };
}

function climbText({ path, best_mean: mean, best_variance: variance }) {
  const away = Math.hypot(path.mean - mean, path.sigma - Math.sqrt(variance));
  const words = say("p", path.finished ? "mle.climbed" : "mle.climbing", { steps: path.steps, mu: number(path.mean), sigma: number(path.sigma), away: number(away, 2) }, "note");
  Object.assign(words.dataset, { quantity: "climbed", exact: String(away), steps: String(path.steps) });
  return words;
}

function splitTable(holder, bins) {
  const row = (key, mark, value, name) => ({ key, mark, cells: [{ shown: number(value, name === "split_difference" ? 2 : 5), value, name }] });
  routesTable(
    holder,
    ["gaussian.quantity", "mle.nats"],
    [
      row("mle.row.likelihood", "\\ell = \\tfrac1n\\sum\\log q(x_i)", bins.mean_log_likelihood, "mean_log_likelihood"),
      row("mle.row.entropy", "H(\\hat p)", bins.entropy, "entropy"),
      row("mle.row.cross_entropy", "H(\\hat p, q) = H + \\mathrm{KL}", bins.entropy + bins.kl, "cross_entropy"),
      row("mle.row.kl", "\\mathrm{KL}(\\hat p\\,\\|\\,q)", bins.kl, "kl"),
      row("mle.row.difference", "|\\ell + H + \\mathrm{KL}|", bins.difference, "split_difference"),
    ],
  );
}

function fillCards(fill, answer) {
  const { bins } = answer;
  fill("N10.log_likelihood", `\\log L(${numberTex(answer.mu, 3)},\\ ${numberTex(answer.sigma, 3)}^2) = ${numberTex(answer.log_likelihood, 5)}`);
  fill("N10.mle_gaussian", `\\hat\\mu = ${numberTex(answer.best_mean)},\\quad \\hat\\sigma^2 = ${numberTex(answer.best_variance)}`);
  fill("N10.likelihood_gradient", `\\Big(${numberTex(answer.gradient[0], 3)},\\ ${numberTex(answer.gradient[1], 3)}\\Big)`);
  fill("N10.likelihood_split", `${numberTex(bins.mean_log_likelihood)} = -${numberTex(bins.entropy)} - ${numberTex(bins.kl)}`);
}
