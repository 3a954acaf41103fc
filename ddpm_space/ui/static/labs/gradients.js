// Two ways to a gradient: single draws of each estimator on one scale, and what each costs.
import { chart } from "../chart.js";
import { choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { below, readings, routesTable } from "./measured.js";

const FUNCTIONS = ["square", "shifted", "lifted", "line", "wave", "step"];
const ROLES = { pathwise: "q", score: "eps", baseline: "xt" };
const HEADS = ["gradients.estimator", "gradients.mean", "gradients.variance", "gradients.theory", "gradients.ratio", "gradients.needed"];

export function gradients(root) {
  const controls = {
    f: choice("gradients.f", FUNCTIONS, "square"),
    parameter: choice("gradients.parameter", ["mean", "std"], "mean"),
    mu: slider("gradients.mu", { min: -2, max: 2, step: 0.01, initial: 1 }),
    sigma: slider("gradients.sigma", { min: 0.2, max: 2, step: 0.01, initial: 1 }),
    draws: slider("gradients.draws", { min: 50, max: 20000, initial: 2000, log: true, shown: (value) => String(Math.round(value)) }),
    seed: seed("gradients.seed"),
  };
  lab(root, "gradients", {
    controls,
    build,
    values: (chosen) => ({ ...chosen, draws: Math.round(chosen.draws) }),
    cards: [
      "N3.pathwise_gradient",
      "N3.score_function_gradient",
      "N3.optimal_baseline",
      "N3.quadratic_gradient",
      "N3.pathwise_variance",
      "N3.score_function_variance",
      "N3.estimate",
    ],
  });
}

function build(stage, { fill }) {
  const verdict = stage.appendChild(node("p", { className: "verdict" }));
  verdict.setAttribute("role", "status");
  const charts = Object.keys(ROLES).map((name) => {
    const place = stage.appendChild(node("div", { dataset: { chart: name } }));
    return [name, place, chart(place)];
  });
  const later = below(stage);
  const list = later.appendChild(node("dl"));
  const holder = later.appendChild(node("div"));
  const how = later.appendChild(node("div"));

  return (answer) => {
    const { estimators, draws, exact, second_route: second, quadratic, baseline } = answer;
    const edges = decode(answer.edges);
    charts.forEach(([name, place, draw]) => {
      place.hidden = !estimators[name];
      if (estimators[name]) draw(histogram(name, estimators[name], edges, exact));
    });
    verdict.replaceChildren(say("span", ...verdictOf(estimators)));
    const other = second === null ? [] : [["second_route", quadratic ? "\\nabla_{\\text{formula}}" : "\\nabla_{f'}", second, number(second, 5)]];
    readings(list, [["exact", "\\nabla\\,\\mathbb E f", exact, number(exact, 5)], ...other, ["baseline", "b", baseline, number(baseline, 4)]]);
    routesTable(
      holder,
      HEADS,
      Object.entries(estimators).map(([name, found]) => row(name, found)),
      { draws },
    );
    const routes = say("p", quadratic ? "gradients.by_formula" : "gradients.by_quadrature", {}, "note");
    const path = estimators.pathwise ? null : say("p", "gradients.no_path", {}, "note warning");
    how.replaceChildren(...[path, say("p", "gradients.how", { draws }, "note"), routes].filter(Boolean));
    fill("N3.optimal_baseline", `b \\approx ${numberTex(baseline)}`);
    fill("N3.quadratic_gradient", quadratic ? `a = ${quadratic[0]},\\ b = ${quadratic[1]}:\\quad ${numberTex(second)}` : null);
    fill("N3.pathwise_variance", quadratic ? `\\mathrm{Var} = ${numberTex(estimators.pathwise.theory)}` : null);
    fill("N3.score_function_variance", quadratic ? `\\mathrm{Var} = ${numberTex(estimators.score.theory)}` : null);
  };
}

function histogram(name, found, edges, exact) {
  const heights = decode(found.shares);
  const top = 1.1 * Math.max(...heights, 0.01);
  const names = { mean: withError(found.mean, found.se), outside: number(100 * found.outside, 2) };
  return {
    title: t(`gradients.chart_${name}`),
    height: 150,
    x: { min: edges[0], max: edges[edges.length - 1], label: t("gradients.axis_x"), symbol: "g", exact: true },
    y: { min: 0, max: top, label: t("gradients.axis_y") },
    bars: [{ name: t(found.outside ? "gradients.shares_outside" : "gradients.shares", names), role: ROLES[name], edges, heights }],
    lines: [{ role: "x0", x: [exact, exact], y: [0, top] }],
    summary: t("gradients.summary", { ...names, exact: number(exact) }),
  };
}

function row(name, found) {
  return {
    key: `gradients.name.${name}`,
    role: ROLES[name],
    cells: [
      { shown: withError(found.mean, found.se), value: found.mean, name: `${name}_mean` },
      { shown: withError(found.variance, found.variance_se), value: found.variance, name: `${name}_variance` },
      { shown: number(found.theory, 4), value: found.theory, name: `${name}_theory` },
      { shown: found.ratio === null ? "–" : `${number(found.ratio, 3)} ×`, value: found.ratio, name: `${name}_ratio` },
      { shown: found.needed === null ? "–" : count(found.needed), value: found.needed, name: `${name}_needed` },
    ],
  };
}

const count = (value) => (value < 1e6 ? String(value) : number(value, 3));

// What the ratio of the exact variances says; without a pathwise estimator there is none.
function verdictOf({ pathwise, score, baseline }) {
  if (!pathwise) return ["gradients.verdict_step", { saved: number(score.theory / baseline.theory, 3) }];
  if (pathwise.theory === 0) return ["gradients.verdict_certain", {}];
  const values = { ratio: number(score.ratio, 3), best: number(baseline.ratio, 3), gain: number(1 / score.ratio, 3) };
  return [score.ratio >= 1 ? "gradients.verdict" : "gradients.verdict_wave", values];
}
