// Two Gaussians: the law of a X + b Y beside draws of it, or the product of both densities.
import { chart } from "../chart.js";
import { button, choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { below, dragging, mover, routesTable } from "./measured.js";

const MARKS = { c: "c", mean: "\\mu", variance: "\\sigma^2" };

export function pairs(root) {
  const mean = (name, initial) => slider(`pairs.${name}`, { min: -3, max: 3, step: 0.01, initial });
  const std = (name, initial) => slider(`pairs.${name}`, { min: 0.2, max: 2, step: 0.01, initial });
  const controls = {
    kind: choice("pairs.kind", ["sum", "product"], "sum"),
    mu_1: mean("mu_1", -1.5),
    sigma_1: std("sigma_1", 0.6),
    mu_2: mean("mu_2", 1),
    sigma_2: std("sigma_2", 1),
    a: slider("pairs.a", { min: 0.1, max: 1.5, step: 0.01, initial: 1 }),
    b: slider("pairs.b", { min: -1.5, max: 1.5, step: 0.01, initial: 1 }),
    seed: seed("pairs.seed"),
  };
  // One step of noising: unit variances, and coefficients whose squares add up to 1.
  const step = button("pairs.step", () => {
    for (const [name, value] of Object.entries({ sigma_1: 1, mu_2: 0, sigma_2: 1, a: 0.8, b: 0.6 })) controls[name].setting.set(value);
  });
  controls.step = step;
  controls.kind.setting.subscribe((kind) => {
    for (const part of [controls.a.element, controls.b.element, controls.seed.element, step]) part.hidden = kind === "product";
  });
  lab(root, "pairs", { controls, build: (stage, frame) => build(stage, frame, controls), cards: ["N3.linear_combination", "N2.product"] });
}

function build(stage, { fill }, controls) {
  const curve = chart(stage.appendChild(node("div", { dataset: { chart: "pairs" } })));
  const later = below(stage);
  const holder = later.appendChild(node("div"));
  const how = later.appendChild(node("div"));
  const moves = [mover(controls.mu_1, -3, 3), mover(controls.mu_2, -3, 3)];
  const pick = dragging((start) => {
    const [first, second] = [controls.mu_1, controls.mu_2].map((control) => Math.abs(start - control.setting.value));
    return moves[first <= second ? 0 : 1];
  });

  return (answer, asked) => {
    const x = decode(answer.x);
    const [first, second, result] = ["first", "second", "result"].map((name) => decode(answer[name]));
    const adds = answer.kind === "sum";
    const role = adds ? "xt" : "q";
    const tops = [first, second].map((values) => Math.max(...values));
    const heights = answer.heights ? decode(answer.heights) : [];
    curve({
      title: t(`pairs.chart_${answer.kind}`),
      height: 280,
      x: { min: -answer.reach, max: answer.reach, label: t("pairs.axis_x"), symbol: "x", exact: true },
      y: { min: 0, max: 1.12 * Math.max(...tops, ...result, ...heights), label: t("gaussian.axis_density") },
      bars: adds ? [{ name: t("pairs.drawn", { draws: answer.draws }), role, edges: decode(answer.edges), heights }] : [],
      lines: [
        { name: t(`pairs.first_${answer.kind}`), role: "x0", x, y: first },
        { name: t(`pairs.second_${answer.kind}`), role: "eps", x, y: second },
        ...(adds ? [] : [{ name: t("pairs.raw"), role, dashed: true, x, y: decode(answer.raw) }]),
        { name: t(`pairs.result_${answer.kind}`), role, x, y: result },
        { role: "x0", points: true, x: [asked.mu_1], y: [tops[0]] },
        { role: "eps", points: true, x: [asked.mu_2], y: [tops[1]] },
      ],
      onPick: pick,
      summary: t(`pairs.chart_${answer.kind}`).replaceAll("$", ""),
    });
    routesTable(
      holder,
      ["gaussian.quantity", "gaussian.formula", `pairs.measured_${answer.kind}`, "gaussian.difference"],
      answer.rows.map((row) => ({
        key: `pairs.row.${row.name}`,
        mark: MARKS[row.name],
        cells: [
          { shown: number(row.formula, 5), value: row.formula, name: row.name },
          { shown: row.se === null ? number(row.measured, 5) : withError(row.measured, row.se), value: row.measured, name: `${row.name}_measured` },
          difference(row),
        ],
      })),
      { draws: answer.draws },
    );
    how.replaceChildren(say("p", `pairs.how_${answer.kind}`, { draws: answer.draws }, "note"));
    fill("N3.linear_combination", adds ? sumTex(asked, answer) : null);
    fill("N2.product", adds ? null : productTex(asked, answer));
  };
}

function difference(row) {
  const value = row.measured - row.formula;
  const shown = row.se === null ? number(Math.abs(value), 2) : `${withError(value, row.se)} (z = ${(value / row.se).toFixed(1).replace("-", "−")})`;
  return { shown, value, name: `${row.name}_difference` };
}

function sumTex({ a, b, mu_1, mu_2, sigma_1, sigma_2 }, { mean, variance }) {
  const [A, B] = [numberTex(a, 3), numberTex(b, 3)];
  const first = `${A}\\cdot(${numberTex(mu_1, 3)}) + (${B})\\cdot(${numberTex(mu_2, 3)}) = ${numberTex(mean)}`;
  const second = `${A}^2\\cdot ${numberTex(sigma_1, 3)}^2 + (${B})^2\\cdot ${numberTex(sigma_2, 3)}^2 = ${numberTex(variance)}`;
  return `\\begin{aligned}\\mu &= ${first}\\\\ \\sigma^2 &= ${second}\\end{aligned}`;
}

function productTex({ sigma_1, sigma_2 }, { mean, variance }) {
  return `\\frac1{\\sigma^2} = \\frac1{${numberTex(sigma_1, 3)}^2} + \\frac1{${numberTex(sigma_2, 3)}^2} = \\frac1{${numberTex(variance)}},\\quad \\mu = ${numberTex(mean)}`;
}
