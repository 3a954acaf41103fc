// ELBO, IWAE_k and log p where all three are known: the bound tightens with k, and with a better network.
import { chart } from "../chart.js";
import { button, choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { below, mover, readings, routesTable } from "./measured.js";

const QUALITY_STEPS = 20;
const LOWEST_SHOWN = -6; // nats: below, x_0 is so rare that nothing is to be read

export function iwae(root) {
  const percent = (value) => `${Math.round((100 * value) / QUALITY_STEPS)} %`;
  const controls = {
    quality: slider("iwae.quality", { min: 0, max: QUALITY_STEPS, step: 1, initial: QUALITY_STEPS, shown: percent }),
    variance: choice("iwae.variance", ["fixed_small", "fixed_large", "optimal"], "fixed_small"),
    steps: choice("iwae.steps", ["2", "4", "8"], "8"),
    x_0: slider("iwae.x_0", { min: -2, max: 2, step: 0.01, initial: 0.1 }),
    seed: seed("iwae.seed"),
  };
  // From the dumb network to the perfect one, a step whenever the last one has been answered.
  let sweeping = false;
  controls.sweep = button("iwae.sweep", () => {
    sweeping = true;
    controls.quality.setting.set(controls.quality.setting.value === 0 ? 1 : 0);
  });
  lab(root, "iwae", {
    controls,
    build: (stage, frame) => build(stage, frame, controls),
    after: (answer, asked) => {
      sweeping &&= asked.quality < QUALITY_STEPS;
      if (sweeping) controls.quality.setting.set(asked.quality + 1);
    },
    cards: ["N9.elbo_gap", "N9.elbo", "N9.iwae", "N9.iwae_rise", "N9.iwae_gap", "N9.relative_variance", "N9.effective_sample_size"],
  });
}

function build(stage, { fill }, controls) {
  const verdict = stage.appendChild(node("p", { className: "verdict" }));
  verdict.setAttribute("role", "status");
  const tight = chart(stage.appendChild(node("div", { dataset: { chart: "iwae" } })));
  const list = stage.appendChild(node("dl"));
  const later = below(stage);
  const pair = later.appendChild(node("div", { className: "charts two" }));
  const along = chart(pair.appendChild(node("div", { dataset: { chart: "along" } })));
  const place = pair.appendChild(node("div", { dataset: { chart: "trained" } }));
  const trained = chart(place);
  const few = place.appendChild(say("p", "iwae.sweep_first", {}, "note"));
  const holder = later.appendChild(node("div"));
  const how = later.appendChild(node("div"));
  const move = mover(controls.x_0, -2, 2);
  // Every quality that has been looked at leaves its averages behind, as long as the rest of the chain stays.
  let visited = new Map();
  let chain = "";

  return (answer, asked) => {
    if (chain !== `${asked.steps} ${asked.variance}`) visited = new Map();
    chain = `${asked.steps} ${asked.variance}`;
    visited.set(answer.quality, answer.mean);
    const gap = answer.gap.kl;
    verdict.replaceChildren(say("span", "iwae.verdict", { gap: number(gap, 3), left: withError(answer.log_p - decode(answer.iwae).at(-1), decode(answer.se).at(-1)) }));
    tight(tightSpec(answer));
    along(alongSpec(answer, move));
    trained(trainedSpec(visited, answer));
    few.hidden = visited.size > 2;
    readings(list, [
      ["log_p", "\\log p_\\theta(x_0)", answer.log_p, number(answer.log_p, 6)],
      ["elbo", "\\mathrm{ELBO}", answer.elbo, number(answer.elbo, 6)],
      ["gap", "\\log p_\\theta - \\mathrm{ELBO}", answer.gap.subtracted, number(answer.gap.subtracted, 6)],
      ["gap_kl", "\\mathrm{KL}(q\\,\\|\\,p_\\theta)", gap, number(gap, 6)],
      ["gap_difference", "\\text{|Δ|}", Math.abs(gap - answer.gap.subtracted), number(Math.abs(gap - answer.gap.subtracted), 2)],
      ["effective", "n_{\\mathrm{eff}}", answer.effective, number(answer.effective, 4)],
    ]);
    boundsTable(holder, answer);
    how.replaceChildren(say("p", "iwae.how", { trajectories: answer.trajectories, effective: number(answer.effective, 4), relative: number(answer.relative_variance, 3) }, "note"));
    fill("N9.elbo_gap", `${numberTex(answer.log_p, 6)} = ${numberTex(answer.elbo, 6)} + ${numberTex(gap, 6)}`);
    fill("N9.relative_variance", `\\hat v = ${numberTex(answer.relative_variance)}`);
    fill("N9.effective_sample_size", `${numberTex(answer.effective)}\\ /\\ ${answer.trajectories}`);
  };
}

function tightSpec(answer) {
  const [k, values, errors, expected] = ["k", "iwae", "se", "expected"].map((name) => decode(answer[name]));
  const ends = [k[0], k[k.length - 1]];
  const level = (value) => [value, value];
  // The law of 1 / k holds where it promises little: before that its line would leave the picture.
  const near = [...k.keys()].filter((index) => expected[index] >= answer.elbo);
  const span = Math.max(answer.log_p - answer.elbo, 0.01);
  return {
    title: t("iwae.chart"),
    height: 280,
    x: { min: 0.8, max: 1300, log: true, label: t("iwae.axis_k"), symbol: "k", exact: true },
    y: { min: answer.elbo - 0.15 * span, max: answer.log_p + 0.2 * span, label: t("iwae.axis_nats") },
    lines: [
      { name: t("iwae.log_p"), role: "p", x: ends, y: level(answer.log_p) },
      { name: t("iwae.elbo"), role: "q", x: ends, y: level(answer.elbo) },
      { name: t("iwae.expected"), role: "p", dashed: true, x: near.map((index) => k[index]), y: near.map((index) => expected[index]) },
      { name: t("iwae.line"), role: "xt", points: true, x: k, y: values, error: errors },
    ],
    summary: t("iwae.chart"),
  };
}

function alongSpec(answer, move) {
  const { x, log_q: data, log_p: model, elbo } = Object.fromEntries(Object.entries(answer.curves).map(([name, packed]) => [name, decode(packed)]));
  return {
    title: t("iwae.along"),
    height: 260,
    x: { min: x[0], max: x[x.length - 1], label: t("iwae.axis_x"), symbol: "x₀", exact: true },
    y: { min: LOWEST_SHOWN, max: Math.max(1, ...data, ...model) + 0.3, label: t("iwae.axis_nats") },
    lines: [
      { name: t("iwae.data"), role: "x0", x, y: data },
      { name: t("iwae.log_p"), role: "p", x, y: model },
      { name: t("iwae.elbo"), role: "q", dashed: true, x, y: elbo },
    ],
    marker: answer.x_0,
    onPick: move,
    summary: t("iwae.along"),
  };
}

function trainedSpec(visited, answer) {
  const x = [...visited.keys()].sort((one, other) => one - other);
  const at = (name) => x.map((quality) => visited.get(quality)[name]);
  const [log_p, elbo] = [at("log_p"), at("elbo")];
  return {
    title: t("iwae.trained"),
    height: 260,
    x: { min: 0, max: 1, label: t("iwae.axis_quality"), symbol: "", exact: true },
    y: { min: Math.min(-1.5, ...elbo) - 0.1, max: answer.mean.log_q + 0.1, label: t("iwae.axis_mean") },
    lines: [
      { name: t("iwae.mean_data"), role: "x0", dashed: true, x: [0, 1], y: [answer.mean.log_q, answer.mean.log_q] },
      { name: t("iwae.mean_log_p"), role: "p", x, y: log_p },
      { name: t("iwae.mean_elbo"), role: "q", x, y: elbo },
      { role: "p", points: true, x, y: log_p },
      { role: "q", points: true, x, y: elbo },
    ],
    summary: t("iwae.trained"),
  };
}

function boundsTable(holder, answer) {
  const [k, values, errors, rise, riseErrors] = ["k", "iwae", "se", "rise", "rise_se"].map((name) => decode(answer[name]));
  const rows = [0, 3, 6, 10].map((index) => ({
    key: "iwae.row",
    mark: `k = ${k[index]}`,
    cells: [
      { shown: withError(values[index], errors[index]), value: values[index], name: `iwae_${k[index]}` },
      { shown: index ? withError(rise[index], riseErrors[index]) : "0", value: rise[index], name: `rise_${k[index]}` },
      { shown: withError(answer.log_p - values[index], errors[index]), value: answer.log_p - values[index], name: `left_${k[index]}` },
    ],
  }));
  const { log_p, elbo } = answer.mean;
  const cells = Object.entries({ mean_log_p: log_p, mean_elbo: elbo, mean_gap: log_p - elbo }).map(([name, value]) => ({ shown: number(value, 6), value, name }));
  routesTable(holder, ["iwae.bound", "iwae.value", "iwae.rise", "iwae.left"], rows);
  const average = node("div");
  routesTable(average, ["iwae.average", "iwae.head_log_p", "iwae.mean_elbo", "iwae.mean_gap"], [{ key: "iwae.row_mean", mark: null, cells }]);
  holder.append(average.firstChild);
}
