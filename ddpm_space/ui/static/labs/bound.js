// The variational bound under an X-ray, in bits/dim, as its terms arrive: three parts that add up, each term over t, the running sum, what each term weighs,
// where in t the bits go, and the Bayes floor where one is known.
import { extent } from "../axis.js";
import { chart } from "../chart.js";
import { modelInfo } from "../chosen_model.js";
import { choice, seed, toggle } from "../controls.js";
import { csvButton, fileName } from "../csv.js";
import { decode } from "../picture.js";
import { runLab } from "../run_lab.js";
import { modelInUse, ranWith } from "../run_model.js";
import { seen } from "../seen.js";
import { chosenPicture, pictureSource } from "../source.js";
import { node, number, say, t, withError } from "../text.js";

const PARTS = [
  ["L_T", "q"],
  ["L_t-1", "p"],
  ["L_0", "x0"],
];
const CHARTS = ["terms", "running", "weights", "errors"];
export const VARIANCES = ["fixed_large", "fixed_small", "analytic"];

// t is shown from t + 1 on, the notes' t: most of the bits are spent at small t, which only a logarithm shows.
const timeAxis = (T) => ({ min: 1, max: T, log: true, label: t("axis.t_plus_one"), symbol: "t + 1" });
const decades = ([low, high]) => ({ min: 10 ** Math.floor(Math.log10(low)), max: 10 ** Math.ceil(Math.log10(high * 1.001)), log: true });

// The best variance is known for a model that came with its table; nothing else has one, the perfect network neither.
export function offerVariances({ variance, network }) {
  const offer = () => {
    if (modelInfo.value) variance.allow((word) => word !== "analytic" || (modelInfo.value.analytic && network.setting.value === "model"));
  };
  modelInfo.subscribe(offer);
  network.setting.subscribe(offer);
}

export function bound(root, parts) {
  const controls = {
    model: modelInUse(parts.props.own),
    picture: pictureSource(),
    pictures: choice("bound.pictures", ["mine", "digits"], "mine"),
    network: choice("bound.network", ["model", "perfect"], "model"),
    chain: choice("bound.chain", ["50", "100", "250", "all"], "all"),
    draws: choice("bound.draws", ["2", "4", "8"], "2"),
    variance: choice("bound.variance", VARIANCES, "fixed_large"),
    clip: toggle("bound.clip", true),
    seed: seed("bound.seed"),
  };
  offerVariances(controls);
  return runLab(root, parts, {
    name: "bound",
    controls,
    build,
    cards: ["N8.prior_kl", "N8.kl_term", "N8.discretized_log_likelihood", "N8.eps_weight", "N8.bits_per_dim"],
    values: (chosen) => ({ ...chosen, picture: chosenPicture.value }),
  });
}

function build(stage) {
  const status = node("p", { className: "status", role: "status" });
  const bar = node("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", t("bound.progress"));
  const total = node("p", { className: "verdict" });
  const picture = seen();
  const model = ranWith();
  const saving = csvButton();
  const stack = node("div", { className: "stack", role: "img" });
  const parts = node("dl", { className: "parts" });
  const plots = CHARTS.map((name) => node("div", { dataset: { chart: name } }));
  const floor = node("div", { className: "note floor-note" });
  const table = node("div", { className: "table-holder" });
  const reading = node("div", { className: "note" });
  stage.append(
    node("div", { className: "run-head" }, picture.element, node("div", {}, status, bar, total, model.element, saving.element)),
    stack,
    parts,
    node("div", { className: "charts two" }, ...plots.slice(0, 2)),
    say("h3", "bound.where"),
    table,
    node("div", { className: "charts two" }, ...plots.slice(2)),
    floor,
    reading,
  );
  const draws = plots.map(chart);

  return (payload, phase) => {
    const [times, bits, running] = ["t", "bits", "running"].map((name) => Array.from(decode(payload[name])));
    const errors = sumErrors(payload);
    const finished = bits.length === payload.total;
    bar.value = bits.length / payload.total;
    const values = { done: bits.length, total: payload.total, chain: payload.chain, T: payload.T, draws: payload.sum.draws };
    const limit = payload.limit ? [" ", say("span", "film.limit", { limit: payload.limit }, "warning")] : [];
    status.replaceChildren(say("span", `bound.${payload.limit ? "stopped" : phase}`, values), ...limit);
    total.replaceChildren(say("span", finished ? "bound.total" : "bound.so_far", { value: withError(payload.sum.mean, payload.sum.se) }));
    total.dataset.exact = String(payload.sum.mean);
    picture.show(payload.seen);
    model.show(payload.model);
    saving.show(phase === "running" ? null : () => saved(payload));
    drawParts(stack, parts, payload);
    // The first value is L_T and belongs to no step; the terms of the steps follow it, from the noisiest down.
    const steps = times.slice(1);
    const specs = [...termSpecs(payload, steps, bits.slice(1), { values: running.slice(1), errors: errors.slice(1) }), ...errorSpecs(payload, steps)];
    specs.forEach((spec, index) => draws[index](spec));
    table.replaceChildren(stretchTable(payload));
    drawFloor(floor, payload);
    const conventions = say("p", "bound.conventions", { variance: t(`variance.${payload.variance}`), clip: t(payload.clip ? "bound.clip_on" : "bound.clip_off"), ...values });
    const shorter = payload.chain < payload.T ? say("p", "bound.respaced", values) : null;
    const perfect = payload.network === "perfect" ? say("p", "bound.about_perfect") : null;
    reading.replaceChildren(...[say("p", "bound.weighing"), conventions, shorter, perfect].filter(Boolean));
  };
}

// The standard error of the sum after each term: the noises of different terms are independent.
function sumErrors(payload) {
  let square = 0;
  return Array.from(decode(payload.se), (error) => {
    square += error ** 2;
    return Math.sqrt(square);
  });
}

// Every term that arrived as a row; the floor is known at some t, and only where a floor is known at all.
function saved(payload) {
  const read = (name) => Array.from(decode(payload[name]));
  const times = read("t");
  const [errors, errorsOff, weights] = ["eps_mse", "eps_mse_se", "weights"].map(read);
  const floor = new Map();
  if (payload.floor) {
    const [at, mse, off, bits] = ["t", "mse", "mse_se", "bits"].map((name) => Array.from(decode(payload.floor[name])));
    at.forEach((time, index) => floor.set(time, { mse: mse[index], off: off[index], bits: bits[index] }));
  }
  // L_T comes first and belongs to no step: what is known of a step is one place behind.
  const ofStep = (values) => times.map((_, index) => (index ? values[index - 1] : null));
  const ofFloor = (name) => times.map((time, index) => (index ? (floor.get(time)?.[name] ?? null) : null));
  const kind = (index) => (index === 0 ? "L_T" : index === payload.total - 1 ? "L_0" : "L_t-1");
  return {
    name: fileName("ddpm_bound", payload.network === "model" ? payload.model.source : "perfect", payload.pictures, `${payload.chain}of${payload.T}steps`, ...conditions(payload)),
    columns: {
      kind: times.map((_, index) => kind(index)),
      t: times,
      bits_per_dim: read("bits"),
      bits_per_dim_se: read("se"),
      cumulative_bits_per_dim: read("running"),
      cumulative_se: sumErrors(payload),
      eps_mse: ofStep(errors),
      eps_mse_se: ofStep(errorsOff),
      weight_bound_nats: ofStep(weights),
      weight_simple: ofStep(times.map(() => 1)),
      floor_eps_mse: ofFloor("mse"),
      floor_eps_mse_se: ofFloor("off"),
      floor_bits_per_dim: ofFloor("bits"),
    },
  };
}

// What a bound was taken under, for the name of its file.
export const conditions = ({ variance, clip, draws, sum, seed: from }) => [variance, clip ? "clipped" : "unclipped", `${draws ?? sum.draws}draws`, `seed${from}`];

function drawParts(stack, parts, payload) {
  const sum = Math.max(payload.sum.mean, 1e-12);
  const words = PARTS.map(([kind]) => `${t(`bound.part.${kind}`).replaceAll("$", "")}: ${number(payload.parts[kind].mean)}`);
  stack.setAttribute("aria-label", words.join("; "));
  stack.replaceChildren(
    ...PARTS.map(([kind, role]) => {
      const piece = node("div", { className: `piece role-${role}` });
      piece.style.flexGrow = String(Math.max(0, payload.parts[kind].mean / sum));
      return piece;
    }),
  );
  parts.replaceChildren(
    ...PARTS.map(([kind, role]) => {
      const { mean, se } = payload.parts[kind];
      const value = node("dd", { dataset: { part: kind, exact: String(mean) } }, withError(mean, se), " ", say("span", "unit.bits", {}, "unit"));
      return node("div", {}, node("dt", {}, node("span", { className: `legend-mark role-${role}`, ariaHidden: "true" }), say("span", `bound.part.${kind}`)), value);
    }),
  );
}

// Values above zero only: a logarithm shows no others.
const above = (times, values) => {
  const kept = times.map((time, index) => [time + 1, values[index]]).filter(([, value]) => value > 0);
  return { x: kept.map(([x]) => x), y: kept.map(([, y]) => y) };
};

const floorLine = (payload, name) => {
  if (!payload.floor) return null;
  return { name: t("bound.floor_line"), role: "q", dashed: true, ...above(Array.from(decode(payload.floor.t)), Array.from(decode(payload.floor[name]))) };
};

// Two standard errors to each side; what is not above zero is left to the edge of a logarithm.
const band = (steps, values, errors, role) => ({
  name: t("bound.band"),
  role,
  x: steps.map((time) => time + 1),
  low: values.map((value, index) => value - 2 * errors[index]),
  high: values.map((value, index) => value + 2 * errors[index]),
});

function termSpecs(payload, steps, terms, running) {
  const x = timeAxis(payload.T);
  const off = Array.from(decode(payload.se)).slice(1);
  const lines = [{ name: "$L_{t-1}$", role: "p", ...above(steps, terms) }, floorLine(payload, "bits")].filter(Boolean);
  const top = Math.max(1e-6, ...running.values);
  const scale = decades(extent(lines.flatMap((line) => line.y), { positive: true }));
  return [
    { title: t("bound.chart_terms"), x, y: { ...scale, label: t("axis.bits_term") }, areas: [band(steps, terms, off, "p")], lines },
    {
      title: t("bound.chart_running"),
      x,
      y: { min: 0, max: top * 1.05, label: t("axis.bits_sum") },
      areas: [band(steps, running.values, running.errors, "q")],
      lines: [{ name: t("bound.running_line"), role: "q", x: steps.map((time) => time + 1), y: running.values }],
    },
  ];
}

function errorSpecs(payload, steps) {
  const x = timeAxis(payload.T);
  const weights = Array.from(decode(payload.weights)).slice(0, steps.length);
  const [errors, off] = ["eps_mse", "eps_mse_se"].map((name) => Array.from(decode(payload[name])));
  const lines = [{ name: "$\\lVert\\boldsymbol\\varepsilon-\\boldsymbol\\varepsilon_\\theta\\rVert^2/D$", role: "p", ...above(steps, errors) }, floorLine(payload, "mse")].filter(Boolean);
  const least = Math.max(1e-7, extent(lines.flatMap((line) => line.y), { positive: true })[0]);
  return [
    {
      title: t("bound.chart_weights"),
      x,
      y: { ...decades(extent([...weights, 1], { positive: true })), label: t("axis.weight") },
      lines: [
        { name: t("bound.weight_true"), role: "p", x: steps.map((time) => time + 1), y: weights },
        { name: t("bound.weight_simple"), role: "eps", dashed: true, x: [1, payload.T], y: [1, 1] },
      ],
    },
    { title: t("bound.chart_errors"), x, y: { ...decades([least, extent(errors, { positive: true })[1]]), label: t("axis.mse") }, areas: [band(steps, errors, off, "p")], lines },
  ];
}

// An attribute shows no formulas.
const plain = (text) => text.replace(/\\mathrm\{(\w+)\}/g, "$1").replace(/[{}$]/g, "");
const percent = (share) => (share === null ? "–" : `${number(100 * share, 3)} %`);

function stretchTable({ stretches, parts, sum }) {
  const heads = ["stretch", "bits", "share", "simple"].map((name) => say("th", `bound.${name}`));
  heads.forEach((head) => head.setAttribute("scope", "col"));
  const row = (name, bits, share, simple, data) => {
    const cell = (key, text, extra = {}) => node("td", { dataset: { label: plain(t(`bound.${key}`)), ...extra } }, text);
    return node("tr", { dataset: data }, name, cell("bits", bits), cell("share", percent(share), { exact: String(share) }), cell("simple", simple === null ? "–" : percent(simple), { exact: String(simple) }));
  };
  const head = (key, values) => {
    const cell = node("th", {}, say("span", key, values));
    cell.setAttribute("scope", "row");
    return cell;
  };
  const body = stretches.map((one) =>
    row(
      head(one.from === one.to ? "bound.stretch_one" : "bound.stretch_range", { from: one.from, to: one.to }),
      withError(one.bits, one.se),
      one.share,
      one.simple,
      { stretch: String(one.from), exact: String(one.bits) },
    ),
  );
  const prior = parts["L_T"];
  body.push(row(head("bound.stretch_end", {}), withError(prior.mean, prior.se), sum.mean > 0 ? prior.mean / sum.mean : null, null, { stretch: "end", exact: String(prior.mean) }));
  return node("table", { className: "data" }, node("thead", {}, node("tr", {}, ...heads)), node("tbody", {}, ...body));
}

function drawFloor(element, { floor, pictures, network }) {
  if (!floor || floor.count === 0) {
    element.replaceChildren(say("p", pictures === "digits" ? "bound.floor_later" : "bound.floor_unknown"));
    return;
  }
  const values = { value: withError(floor.excess, floor.se), count: floor.count, samples: floor.samples };
  const line = say("p", `bound.floor_${network}`, values);
  line.dataset.quantity = "excess";
  line.dataset.exact = String(floor.excess);
  line.dataset.se = String(floor.se);
  element.replaceChildren(line);
}
