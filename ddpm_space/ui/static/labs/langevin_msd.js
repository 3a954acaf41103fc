// A free particle's displacement: measured over a cloud, beside the formula and its two regimes; and the velocity's memory.
import { chart } from "../chart.js";
import { seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { readings, rowsOf } from "./langevin_readings.js";

const CHANCE = 3.5;
const TIMES = 26;

export function msd(root) {
  let times = null;
  // Which of the measured times is read: no question to Python, as all of them are there.
  const place = slider("msd.place", { min: 0, max: TIMES - 1, step: 1, initial: 13, shown: (index) => (times ? `t = ${number(times[Math.min(index, times.length - 1)], 3)}` : "") });
  const controls = {
    kT: slider("msd.kT", { min: 0.25, max: 2, initial: 1, log: true }),
    gamma: slider("msd.gamma", { min: 0.1, max: 10, initial: 1, log: true }),
    mass: slider("msd.mass", { min: 0.2, max: 5, initial: 1, log: true }),
    place: place.element,
    seed: seed("msd.seed"),
  };
  const after = (answer) => {
    times = decode(answer.t);
    place.element.querySelector("output").textContent = `t = ${number(times[Math.min(place.setting.value, times.length - 1)], 3)}`;
  };
  lab(root, "msd", {
    controls,
    build: (stage, tools) => build(stage, tools, place.setting),
    after,
    cards: ["N1.free_particle_msd", "N1.msd_regimes", "N1.velocity_autocorrelation", "N1.ou_transition"],
  });
}

function build(stage, { fill }, place) {
  const verdict = node("p", { className: "verdict", role: "status" });
  const list = node("dl", { className: "numbers msd-readings" });
  const how = node("div", { className: "after-controls" });
  const holder = node("div", { dataset: { chart: "msd" } });
  const pair = node("div", { className: "charts two wide-chart after-controls" });
  const [main, ratio, memory] = [holder, node("div", { dataset: { chart: "ratio" } }), node("div", { dataset: { chart: "memory" } })].map((root) => [root, chart(root)]);
  pair.append(ratio[0], memory[0]);
  stage.classList.add("lab-flow");
  stage.append(verdict, holder, list, pair, how);
  let shown = null;

  const drawPlace = () => {
    if (!shown) return;
    const { answer, asked, measured, curve } = shown;
    const index = Math.min(place.value, measured.t.length - 1);
    const at = Object.fromEntries(Object.entries(measured).map(([name, values]) => [name, values[index]]));
    const pick = (x) => place.set(nearest(measured.t, x));
    main[1](msdSpec(answer, measured, curve, at.t, pick));
    ratio[1](ratioSpec(measured, at.t, pick));
    readings(list, [
      ["t", "t", at.t],
      ["msd", "\\overline{|x(t)-x(0)|^2}", at.msd, withError(at.msd, at.se)],
      ["theory", "\\mathbb E|x(t)-x(0)|^2", at.theory],
      ["ballistic", "\\tfrac{kT}{m}t^2", at.ballistic],
      ["diffusive", "\\tfrac{2kT}{\\gamma}t", at.diffusive],
      ["memory", "m/\\gamma", answer.memory],
    ]);
    const friction = numberTex(asked.gamma, 3);
    const bracket = `${numberTex(at.t, 3)}-${numberTex(answer.memory, 3)}\\bigl(1-e^{-${numberTex(at.t / answer.memory, 3)}}\\bigr)`;
    fill("N1.free_particle_msd", `2\\cdot\\frac{${numberTex(asked.kT, 3)}}{${friction}}\\Bigl[${bracket}\\Bigr]=${numberTex(at.theory, 4)}`);
  };
  place.subscribe(drawPlace);

  return (answer, asked) => {
    const measured = Object.fromEntries(["t", "msd", "se", "theory", "ballistic", "diffusive"].map((name) => [name, Array.from(decode(answer[name]))]));
    shown = { answer, asked, measured, curve: rowsOf(decode(answer.curve)) };
    const values = { count: measured.t.length, z: answer.worst.toFixed(1) };
    verdict.replaceChildren(say("span", answer.worst <= CHANCE ? "msd.agree" : "msd.differ", values));
    verdict.dataset.worst = String(answer.worst);
    how.replaceChildren(say("p", "msd.how", { particles: answer.particles }, "note"));
    memory[1](memorySpec(rowsOf(decode(answer.velocity)), rowsOf(decode(answer.velocity_curve))));
    drawPlace();
  };
}

function nearest(times, x) {
  let best = 0;
  times.forEach((time, index) => {
    if (Math.abs(Math.log(time / x)) < Math.abs(Math.log(times[best] / x))) best = index;
  });
  return best;
}

function msdSpec(answer, measured, [times, theory, ballistic, diffusive], marker, onPick) {
  const [low, high] = [Math.min(...theory) / 2, Math.max(...theory) * 2];
  const within = (values) => {
    const kept = values.map((_, index) => index).filter((index) => values[index] >= low && values[index] <= high);
    return { x: kept.map((index) => times[index]), y: kept.map((index) => values[index]) };
  };
  return {
    title: t("msd.chart"),
    summary: t("msd.chart_summary"),
    x: { min: times[0], max: times.at(-1), log: true, label: t("langevin.axis_time"), exact: true },
    y: { min: low, max: high, log: true, label: t("msd.axis_msd") },
    lines: [
      { name: t("msd.ballistic"), role: "eps", dashed: true, ...within(ballistic) },
      { name: t("msd.diffusive"), role: "x0", dashed: true, ...within(diffusive) },
      { name: t("msd.theory"), role: "q", x: times, y: theory },
      { name: t("msd.measured"), role: "xt", points: true, x: measured.t, y: measured.msd, error: measured.se },
    ],
    marker,
    onPick,
    height: 330,
  };
}

function ratioSpec(measured, marker, onPick) {
  const y = measured.msd.map((value, index) => value / measured.theory[index]);
  const error = measured.se.map((value, index) => value / measured.theory[index]);
  const reach = 1.15 * Math.max(...y.map((value, index) => Math.abs(value - 1) + error[index]));
  const [from, to] = [measured.t[0] / 1.5, measured.t.at(-1) * 1.5];
  return {
    title: t("msd.ratio"),
    summary: t("msd.ratio_summary"),
    x: { min: from, max: to, log: true, label: t("langevin.axis_time"), exact: true },
    y: { min: 1 - reach, max: 1 + reach, label: t("msd.axis_ratio") },
    lines: [
      { name: t("msd.theory"), role: "q", x: [from, ...measured.t, to], y: [1, ...measured.t.map(() => 1), 1] },
      { name: t("msd.measured"), role: "xt", points: true, x: measured.t, y, error },
    ],
    marker,
    onPick,
    height: 220,
  };
}

function memorySpec([x, y, error], [times, theory]) {
  return {
    title: t("msd.memory"),
    summary: t("msd.memory_summary"),
    x: { min: 0, max: times.at(-1), label: t("langevin.axis_time"), exact: true },
    y: { min: Math.min(0, ...y.map((value, index) => value - error[index])) * 1.1 - 0.04 * theory[0], max: 1.1 * Math.max(theory[0], ...y), label: t("msd.axis_velocity") },
    lines: [
      { name: `${t("msd.theory")} $\\frac{kT}{m}e^{-\\gamma t/m}$`, role: "q", x: times, y: theory },
      { name: t("msd.measured"), role: "xt", points: true, x, y, error },
    ],
    height: 220,
  };
}
