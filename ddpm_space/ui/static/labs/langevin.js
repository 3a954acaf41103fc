// Particles in a potential: the cloud on the move, the histogram of the frame that is shown, and the temperature that the particles show.
import { chart } from "../chart.js";
import { cloud, heat, paced } from "../cloud.js";
import { choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { histogram, readings, rowsOf } from "./langevin_readings.js";

const POTENTIALS = ["harmonic", "double_well", "tilted", "ring", "mueller_brown"];
const CARDS = ["N1.langevin", "N1.baoab", "N1.stationary_density", "N1.force", "N1.equipartition", "N1.overdamped", "N1.euler_maruyama"];

export function langevin(root) {
  const controls = {
    potential: choice("langevin.potential", POTENTIALS, "double_well"),
    motion: choice("langevin.motion", ["underdamped", "overdamped"], "underdamped"),
    kT: slider("langevin.kT", { min: 0.25, max: 2, initial: 1, log: true }),
    gamma: slider("langevin.gamma", { min: 0.1, max: 10, initial: 1, log: true }),
    mass: slider("langevin.mass", { min: 0.2, max: 5, initial: 1, log: true }),
    seed: seed("langevin.seed"),
  };
  controls.motion.setting.subscribe((motion) => {
    controls.mass.element.hidden = motion === "overdamped";
  });
  lab(root, "langevin", { controls, build, cards: CARDS });
}

function build(stage, { fill }) {
  const main = stage.appendChild(node("div", { className: "langevin-main" }));
  const moving = cloud(main.appendChild(node("div")), { label: t("langevin.cloud"), height: 0.82 });
  const side = node("div", { className: "langevin-side after-controls" });
  const places = chart(side.appendChild(node("div", { dataset: { chart: "histogram" } })));
  const warmth = chart(side.appendChild(node("div", { dataset: { chart: "temperature" } })));
  const verdict = node("p", { className: "verdict" });
  const list = node("dl", { className: "numbers" });
  const how = node("div");
  stage.classList.add("lab-flow", "langevin-stage");
  main.append(verdict, list, how);
  stage.append(side);

  let shown = null;
  paced(moving, (frame) => shown && drawFrame(frame));

  function drawFrame(frame) {
    const { answer, asked, bars, curve, times, kinetic, virial, deviation } = shown;
    places(histogramSpec(answer, bars, curve, frame));
    warmth(temperatureSpec(asked, times, kinetic, virial, frame, (x) => moving.go(nearest(times, x))));
    const settled = Math.abs(deviation[frame] - 1) <= 3 * answer.deviation_spread;
    const values = { bins: answer.bins, value: number(deviation[frame], 3), spread: number(answer.deviation_spread, 2) };
    verdict.replaceChildren(say("span", settled ? "langevin.settled" : "langevin.unsettled", values));
    verdict.dataset.settled = String(settled);
    readings(list, [
      ["t", "t", times[frame]],
      kinetic ? ["kinetic", "\\langle mv^2\\rangle", kinetic[0][frame], withError(kinetic[0][frame], kinetic[1][frame])] : ["kT", "kT", asked.kT],
      ["virial", "-\\langle xF\\rangle", virial[0][frame], withError(virial[0][frame], virial[1][frame])],
      ["deviation", "\\overline{\\chi^2}", deviation[frame]],
    ]);
  }

  return (answer, asked) => {
    const frames = decode(answer.frames);
    const times = decode(answer.times);
    const first = shown === null;
    const playing = moving.playing();
    const from = first || !shown ? 0 : Number(moving.element.dataset.frame);
    const picture = decode(answer.heat);
    shown = {
      answer,
      asked,
      times,
      bars: histogram({ edges: decode(answer.edges), counts: decode(answer.counts), probability: decode(answer.probability) }, answer.particles),
      curve: rowsOf(decode(answer.curve)),
      kinetic: answer.kinetic && rowsOf(decode(answer.kinetic)),
      virial: rowsOf(decode(answer.virial)),
      deviation: decode(answer.deviation),
    };
    how.replaceChildren(say("p", `langevin.how_${asked.motion}`, { particles: answer.particles, drawn: frames.shape[1], dt: number(answer.dt, 2) }, "note"));
    fill("N1.langevin", asked.motion === "underdamped" ? underdampedTex(asked) : null);
    fill("N1.overdamped", asked.motion === "overdamped" ? overdampedTex(asked) : null);
    moving.set({
      frames,
      box: answer.box,
      role: "xt",
      size: 2.6,
      labels: { x: t("langevin.axis_x_1"), y: t("langevin.axis_x_2") },
      time: (frame) => t("langevin.at", { t: number(times[frame], 3) }),
      layers: [heat({ values: picture, shape: picture.shape }, answer.box, "q")],
      perSecond: 24,
      from,
    });
    // The first picture moves by itself, unless the visitor asked for no motion; a changed setting goes on as it was.
    if (playing || (first && !matchMedia("(prefers-reduced-motion: reduce)").matches)) moving.play();
  };
}

function nearest(times, x) {
  let best = 0;
  times.forEach((time, index) => {
    if (Math.abs(time - x) < Math.abs(times[best] - x)) best = index;
  });
  return best;
}

function histogramSpec(answer, bars, [across, density], frame) {
  return {
    title: t("langevin.histogram"),
    summary: t("langevin.histogram_summary"),
    x: { min: answer.box[0], max: answer.box[1], label: t("langevin.axis_x_1"), symbol: "x₁", exact: true },
    y: { min: 0, max: bars.ceiling, label: t("langevin.axis_density") },
    bars: [{ name: t("langevin.measured"), role: "xt", edges: bars.edges, heights: bars.heights(frame).map((height) => Math.min(height, bars.ceiling)) }],
    areas: [{ name: t("langevin.chance"), role: "q", ...bars.band }],
    lines: [{ name: t("langevin.law"), role: "q", x: across, y: density }],
    height: 230,
  };
}

function temperatureSpec(asked, times, kinetic, virial, frame, onPick) {
  const x = Array.from(times);
  const readingsOf = [
    ...(kinetic ? [{ key: "langevin.kinetic", role: "xt", rows: kinetic }] : []),
    { key: "langevin.virial", role: "x0", rows: virial },
  ];
  const top = Math.min(3.2 * asked.kT, Math.max(1.6 * asked.kT, ...readingsOf.flatMap(({ rows }) => rows[0].slice(8).map((value, index) => value + rows[1][index + 8]))));
  const inside = (value) => Math.max(0, Math.min(top, value));
  const band = ({ rows, role }) => ({
    role,
    x,
    low: rows[0].map((value, index) => inside(value - 2 * rows[1][index])),
    high: rows[0].map((value, index) => inside(value + 2 * rows[1][index])),
  });
  return {
    title: t("langevin.temperature"),
    x: { min: 0, max: x.at(-1), label: t("langevin.axis_time"), exact: true },
    y: { min: 0, max: top, label: t("langevin.axis_temperature") },
    areas: readingsOf.map(band),
    lines: [
      ...readingsOf.map(({ key, role, rows }) => ({ name: t(key), role, x, y: rows[0].map(inside) })),
      { name: t("langevin.set"), role: "q", dashed: true, x, y: x.map(() => asked.kT) },
    ],
    marker: times[frame],
    onPick,
    height: 210,
  };
}

function underdampedTex({ gamma, mass, kT }) {
  const noise = numberTex(Math.sqrt(2 * gamma * kT), 3);
  return `${numberTex(mass, 3)}\\,\\mathrm dv=\\bigl(-${numberTex(gamma, 3)}\\,v-U'(x)\\bigr)\\mathrm dt+${noise}\\,\\mathrm dW`;
}

function overdampedTex({ gamma, kT }) {
  return `\\mathrm dx=-\\frac{U'(x)}{${numberTex(gamma, 3)}}\\,\\mathrm dt+${numberTex(Math.sqrt((2 * kT) / gamma), 3)}\\,\\mathrm dW`;
}
