// Eq. (11) against x_0 first and then the posterior, with and without clipping: three chains on one noise, and how far apart they are at each t.
import { extent } from "../axis.js";
import { chart } from "../chart.js";
import { choice, seed, slider } from "../controls.js";
import { decode, paintPlanes, paintSheet, tile } from "../picture.js";
import { runLab } from "../run_lab.js";
import { node, number, rich, say, t } from "../text.js";

const SHEETS = [
  ["eq11", "eps"],
  ["posterior", "q"],
  ["clipped", "p"],
];
const LEAST = 1e-18; // a logarithm has no zero

export function clipping(root, parts) {
  return runLab(root, parts, {
    name: "clipping",
    stopKey: "sampling.stop",
    controls: {
      images: slider("clipping.images", { min: 1, max: parts.props.most, step: 1, initial: 4, shown: String }),
      steps: choice("clipping.steps", ["50", "100", "250"], "100"),
      variance: choice("clipping.variance", ["fixed_small", "fixed_large"], "fixed_small"),
      seed: seed("clipping.seed"),
    },
    build,
    cards: ["N8.mu_theta_from_eps", "N8.p_reverse", "N8.clipping_difference"],
  });
}

function build(stage, { fill }) {
  const status = node("p", { className: "status", role: "status" });
  const bar = node("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", t("film.progress"));
  const verdicts = node("div", { className: "clipping-verdicts" });
  const sheets = SHEETS.map(([route, role]) => tile({ role, symbol: "", textKey: `clipping.${route}` }));
  const difference = tile({ role: "xt", symbol: "", textKey: "clipping.difference", values: { range: 1 } });
  const tiles = node("div", { className: "clipping-tiles" }, ...[...sheets, difference].map(({ figure }) => figure));
  const plots = ["apart", "step"].map((name) => node("div", { dataset: { chart: name } }));
  const note = node("div", { className: "note" });
  stage.append(status, bar, verdicts, tiles, node("div", { className: "charts two" }, ...plots), note);
  const draws = plots.map(chart);

  return (payload, phase) => {
    const limit = payload.limit ? [" ", say("span", "film.limit", { limit: payload.limit }, "warning")] : [];
    status.replaceChildren(say("span", `clipping.${payload.limit ? "stopped" : phase}`, { step: payload.index + 1, total: payload.total, t: payload.t }), ...limit);
    bar.value = (payload.index + 1) / payload.total;
    SHEETS.forEach(([route], index) => {
      const bytes = decode(payload.pictures[route]);
      paintSheet(sheets[index].canvas, bytes, bytes.shape, Math.ceil(Math.sqrt(bytes.shape[0])));
    });
    // The first image alone: differences of several would not be told apart.
    const all = decode(payload.difference);
    const shape = all.shape.slice(1);
    const planes = all.slice(0, shape.reduce((product, size) => product * size, 1));
    const range = planes.reduce((most, value) => Math.max(most, Math.abs(value)), LEAST);
    paintPlanes(difference.canvas, planes, shape, range);
    rich(difference.figure.querySelector(".tile-words"), t("clipping.difference", { range: number(range, 2) }));
    const series = Object.fromEntries(Object.entries(payload.series).map(([name, values]) => [name, Array.from(decode(values))]));
    drawVerdicts(verdicts, series, payload);
    specs(series, payload).forEach((spec, index) => draws[index](spec));
    note.replaceChildren(say("p", "clipping.residual", { error: number(payload.residual, 2) }));
    note.dataset.exact = String(payload.residual);
    note.dataset.quantity = "residual";
    fill("N8.clipping_difference", filled(series, payload));
  };
}

function drawVerdicts(root, series, { total, index }) {
  const last = (name) => series[name].at(-1);
  const line = (key, values, quantity) => {
    const element = say("p", key, values, "verdict");
    Object.assign(element.dataset, { quantity, exact: String(last(quantity)) });
    return element;
  };
  const now = index === total - 1 ? "end" : "so_far";
  root.replaceChildren(
    line(`clipping.same_${now}`, { rounding: number(last("rounding"), 2) }, "rounding"),
    line(`clipping.apart_${now}`, { largest: number(last("apart_max"), 3), rms: number(last("apart_rms"), 3) }, "apart_max"),
  );
}

function specs({ t: times, rounding, apart_max, apart_rms, step_max, step_rms }, { T }) {
  const x = { min: 0, max: T - 1, label: t("axis.t") };
  const lined = (name, role, values, dashed = false) => ({ name: t(name), role, x: times, y: values.map((value) => Math.max(value, LEAST)), dashed });
  const spec = (title, lines, summary) => {
    const [low, high] = extent(lines.flatMap((line) => line.y), { positive: true });
    const y = { min: 10 ** Math.floor(Math.log10(low)), max: 10 ** Math.ceil(Math.log10(high * 1.001)), log: true, label: t("clipping.axis") };
    return { title: t(title), x, y, lines, summary: `${t(title).replaceAll("$", "")}. ${summary}` };
  };
  const said = (values) => `t = ${times.at(-1)}: ${number(values.at(-1), 3)}`;
  return [
    spec(
      "clipping.chart_apart",
      [lined("clipping.line_max", "p", apart_max, true), lined("clipping.line_rms", "p", apart_rms), lined("clipping.line_rounding", "q", rounding)],
      said(apart_rms),
    ),
    spec("clipping.chart_step", [lined("clipping.line_max", "p", step_max, true), lined("clipping.line_rms", "p", step_rms)], said(step_rms)),
  ];
}

// What the formula came to at the step just taken.
function filled({ step_max, step_rms, outside, t: times }) {
  const at = times.at(-1);
  return `t = ${at}:\\quad \\max|\\Delta\\mu| = ${step_max.at(-1).toPrecision(3)},\\quad \\text{rms} = ${step_rms.at(-1).toPrecision(3)},\\quad |\\hat{x}_0|>1:\\ ${(100 * outside.at(-1)).toFixed(1)}\\,\\%`;
}
