// The bridge: a stretch of Langevin motion, walked in small steps, is a noising step.
import { chart } from "../chart.js";
import { choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { ROLE_TEX, node, number, numberTex, say, t, tex, withError } from "../text.js";
import { rowsOf, words } from "./langevin_readings.js";

const CHANCE = 3.5;
const doubled = (power) => String(2 ** power);

export function bridge(root) {
  const controls = {
    source: choice("bridge.source", ["schedule", "physics"], "schedule"),
    schedule: choice("bridge.schedule", ["linear", "cosine", "sigmoid"], "linear"),
    t: slider("bridge.t", { min: 0, max: 999, step: 1, initial: 600, shown: String }),
    span: slider("bridge.span", { min: 0, max: 9, step: 1, initial: 6, shown: doubled }),
    stiffness: slider("bridge.stiffness", { min: 0.2, max: 3, initial: 1, log: true }),
    dt: slider("bridge.dt", { min: 0.02, max: 2, initial: 0.5, log: true }),
    gamma: slider("bridge.gamma", { min: 0.5, max: 10, initial: 1, log: true }),
    x: slider("bridge.x", { min: -3, max: 3, step: 0.1, initial: 1.5, shown: (value) => number(value, 2) }),
    substeps: slider("bridge.substeps", { min: 0, max: 8, step: 1, initial: 6, shown: doubled }),
    seed: seed("bridge.seed"),
  };
  controls.source.setting.subscribe((source) => {
    for (const name of ["schedule", "t", "span"]) controls[name].element.hidden = source !== "schedule";
    for (const name of ["stiffness", "dt", "gamma"]) controls[name].element.hidden = source !== "physics";
  });
  lab(root, "bridge", {
    controls,
    build,
    values: (chosen) => ({ ...chosen, span: 2 ** chosen.span, substeps: 2 ** chosen.substeps }),
    cards: ["N1.vp_transition", "N1.beta_from_integral", "N1.integral_from_beta", "N1.beta_from_physics", "N1.euler_maruyama", "N5.q_step"],
  });
}

function build(stage, { fill }) {
  const step = node("div", { className: "formula-block langevin-step" });
  const origin = node("div");
  const verdict = node("p", { className: "verdict after-controls", role: "status" });
  const holder = node("div", { className: "table-holder after-controls" });
  const pair = node("div", { className: "charts two after-controls" });
  const [paths, end] = ["paths", "end"].map((name) => chart(pair.appendChild(node("div", { dataset: { chart: name } }))));
  stage.classList.add("lab-flow");
  stage.append(step, origin, pair, verdict, holder);

  return (answer, asked) => {
    const signal = Math.sqrt(1 - answer.beta_t);
    const noise = Math.sqrt(answer.beta_t);
    tex(step, stepTex(answer, signal, noise), true);
    Object.assign(step.dataset, { quantity: "beta_t", exact: String(answer.beta_t), integral: String(answer.integral) });
    origin.replaceChildren(say("p", ...originText(answer), "note"));
    const band = rowsOf(decode(answer.band));
    const times = Array.from(decode(answer.times));
    paths(pathsSpec(times, band, rowsOf(decode(answer.walked))));
    end(endSpec(answer));
    holder.replaceChildren(table(answer));
    judge(verdict, answer);
    fill("N1.vp_transition", `\\mathcal N\\bigl(e^{-${numberTex(answer.integral / 2, 4)}}\\cdot${bracketed(answer.x_prev)},\\ 1-e^{-${numberTex(answer.integral)}}\\bigr)`);
    fill("N1.beta_from_integral", `1-e^{-${numberTex(answer.integral)}}=${numberTex(answer.beta_t)}`);
    fill("N1.integral_from_beta", `-\\ln(1-${numberTex(answer.beta_t)})=${numberTex(answer.integral)}`);
    fill("N1.beta_from_physics", answer.source === "physics" ? physicsTex(asked, answer) : null);
  };
}

const bracketed = (value) => (value < 0 ? `(${numberTex(value, 3)})` : numberTex(value, 3));

function stepTex({ beta_t: beta, integral, x_prev: x }, signal, noise) {
  const law = `${ROLE_TEX.xt}&=\\sqrt{1-\\beta_t}\\,\\mathbf x_{t-1}+\\sqrt{\\beta_t}\\,${ROLE_TEX.eps}\\\\ &=${numberTex(signal)}\\cdot${bracketed(x)}+${numberTex(noise)}\\,${ROLE_TEX.eps}`;
  return `\\begin{aligned}\\beta_t&=1-e^{-B}=1-e^{-${numberTex(integral)}}=${numberTex(beta)}\\\\ ${law}\\end{aligned}`;
}

function physicsTex({ stiffness, dt, gamma }, { beta_t: beta }) {
  return `1-\\exp\\Bigl(-\\frac{2\\cdot${numberTex(stiffness, 3)}\\cdot${numberTex(dt, 3)}}{${numberTex(gamma, 3)}}\\Bigr)=${numberTex(beta)}`;
}

function originText(answer) {
  if (answer.source === "physics") return ["bridge.physics", { dt: number(answer.dt, 3) }];
  if (answer.span === 1) return ["bridge.one_step", { t: answer.t }];
  return ["bridge.many_steps", { first: answer.first, t: answer.t, span: answer.span, ratio: number(answer.abar_ratio) }];
}

function pathsSpec(times, [mean, std], walked) {
  const [low, high] = [mean.map((value, index) => value - 2 * std[index]), mean.map((value, index) => value + 2 * std[index])];
  const all = [...low, ...high, ...walked.flat()];
  const [min, max] = [Math.min(...all), Math.max(...all)];
  const margin = 0.06 * (max - min);
  return {
    title: t("bridge.paths", { drawn: walked.length }),
    summary: t("bridge.paths_summary"),
    x: { min: 0, max: 1, label: t("bridge.axis_share"), symbol: "s", exact: true },
    y: { min: min - margin, max: max + margin, label: t("langevin.axis_x") },
    areas: [{ name: t("bridge.exact_band"), role: "q", x: times, low, high }],
    lines: [
      // One of them names all.
      ...walked.map((y, index) => ({ name: index ? null : t("bridge.path"), role: "xt", x: times, y })),
      { name: t("bridge.exact_mean"), role: "q", x: times, y: mean },
    ],
    height: 260,
  };
}

function endSpec(answer) {
  const [x, y] = rowsOf(decode(answer.curve));
  const heights = Array.from(decode(answer.heights));
  return {
    title: t("bridge.end"),
    summary: t("bridge.end_summary"),
    x: { min: x[0], max: x.at(-1), label: t("langevin.axis_x"), symbol: "x", exact: true },
    y: { min: 0, max: 1.1 * Math.max(...y, ...heights), label: t("langevin.axis_density") },
    bars: [{ name: t("bridge.walked", { count: answer.paths }), role: "xt", edges: Array.from(decode(answer.edges)), heights }],
    lines: [{ name: t("bridge.exact"), role: "q", x, y }],
    height: 260,
  };
}

function table(answer) {
  const n = answer.substeps;
  const heads = ["quantity", "exact", "euler", "measured", "z"].map((name) => [name, say("th", `bridge.${name}`, { n })]);
  heads.forEach(([, head]) => head.setAttribute("scope", "col"));
  const rows = ["mean", "variance"].map((name) => {
    const { exact, euler, value, se, z } = answer[name];
    const cell = (key, found, shown) => node("td", { dataset: { label: words(`bridge.${key}`, { n }), quantity: `${name}.${key}`, exact: String(found) } }, shown);
    return node(
      "tr",
      {},
      say("th", `bridge.${name}`),
      cell("exact", exact, number(exact, 5)),
      cell("euler", euler, number(euler, 5)),
      cell("measured", value, withError(value, se)),
      cell("z", z, t("bridge.in_se", { z: z.toFixed(1).replace("-", "−") })),
    );
  });
  return node("table", { className: "data" }, node("thead", {}, node("tr", {}, ...heads.map(([, head]) => head))), node("tbody", {}, ...rows));
}

function judge(verdict, { mean, variance, paths, substeps }) {
  const z = Math.max(Math.abs(mean.z), Math.abs(variance.z));
  const euler = Math.max(Math.abs(mean.z_euler), Math.abs(variance.z_euler));
  let key = "bridge.agree";
  if (z > CHANCE) key = euler <= CHANCE ? "bridge.coarse" : "bridge.differ";
  verdict.replaceChildren(say("span", key, { count: paths, n: substeps, z: z.toFixed(1), euler: euler.toFixed(1) }));
  Object.assign(verdict.dataset, { worst: String(z), euler: String(euler) });
}
