// Sampling with nothing but a score: the same chains without and with the Metropolis correction, side by side.
import { chart } from "../chart.js";
import { cloud, heat, paced } from "../cloud.js";
import { choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { histogram, rowsOf, words } from "./langevin_readings.js";

const SAMPLERS = ["ula", "mala"];
const CARDS = ["N1.ula_step", "N1.mala_step", "N1.mala_log_ratio", "N1.score_from_eps", "N1.log_density_ratio", "N1.annealed_step_size"];

export function ula(root) {
  const controls = {
    target: choice("ula.target", ["one", "three", "apart"], "three"),
    eta: slider("ula.eta", { min: 0.01, max: 0.9, initial: 0.5, log: true }),
    seed: seed("ula.seed"),
  };
  lab(root, "ula", { controls, build, cards: CARDS });
}

function build(stage, { fill }) {
  const pair = node("div", { className: "charts two after-controls" });
  const holder = node("div", { className: "table-holder after-controls" });
  const how = node("div", { className: "after-controls" });
  const both = SAMPLERS.map((name) => {
    const column = node("div", { className: "ula-sampler", dataset: { sampler: name } });
    column.append(say("h3", name === "ula" ? "ula.unadjusted" : "ula.adjusted"));
    const moving = cloud(column.appendChild(node("div")), { label: t(`ula.cloud_${name}`), height: 0.88 });
    const bars = chart(column.appendChild(node("div", { dataset: { chart: name } })));
    pair.append(column);
    return { name, moving, bars };
  });
  stage.classList.add("lab-flow");
  stage.append(pair, holder, how);
  let shown = null;
  let leading = null;

  // The two clouds go together: whichever is moved takes the other along.
  both.forEach((one, index) => {
    one.moving.onFrame((frame) => {
      if (!shown || leading !== null) return;
      leading = index;
      both.filter((other) => other !== one).forEach((other) => other.moving.go(frame));
      leading = null;
    });
    const follow = (frame) => {
      if (!shown) return;
      one.bars(histogramSpec(shown, one.name, frame));
      if (one.name === "mala") drawNumbers(frame);
    };
    paced(one.moving, follow, () => both.some(({ moving }) => moving.playing()));
  });

  function drawNumbers(frame) {
    const { answer, samplers, steps } = shown;
    const heads = [say("th", "ula.quantity", { step: steps[frame] }), ...SAMPLERS.map((name) => say("th", name === "ula" ? "ula.unadjusted" : "ula.adjusted"))];
    heads.forEach((head) => head.setAttribute("scope", "col"));
    const row = (key, values, cells) => node("tr", {}, say("th", `ula.${key}`, values), ...SAMPLERS.map((name) => cell(key, name, cells(samplers[name], name))));
    const rows = [
      row("second", { exact: number(answer.second) }, ({ second }) => [second[0][frame], withError(second[0][frame], second[1][frame])]),
      row("deviation", { spread: number(answer.ula.deviation_spread, 2) }, ({ deviation }) => [deviation[frame], number(deviation[frame], 3)]),
      row("accepted", {}, (_, name) => (name === "ula" ? [1, t("ula.all")] : [answer.accepted.mean, `${withError(100 * answer.accepted.mean, 100 * answer.accepted.se)} %`])),
    ];
    holder.replaceChildren(node("table", { className: "data" }, node("thead", {}, node("tr", {}, ...heads)), node("tbody", {}, ...rows)));
  }

  return (answer, asked) => {
    const first = shown === null;
    const playing = both.some(({ moving }) => moving.playing());
    const from = first ? 0 : Number(both[0].moving.element.dataset.frame);
    const picture = decode(answer.heat);
    const steps = decode(answer.steps);
    const samplers = Object.fromEntries(SAMPLERS.map((name) => [name, unpack(answer[name], answer.chains)]));
    shown = { answer, steps, samplers, curve: rowsOf(decode(answer.curve)) };
    how.replaceChildren(say("p", "ula.how", { chains: answer.chains, drawn: samplers.ula.frames.shape[1] }, "note"));
    both.forEach(({ name, moving }) =>
      moving.set({
        frames: samplers[name].frames,
        box: answer.box,
        role: "xt",
        size: 2.6,
        labels: { x: t("langevin.axis_x_1"), y: t("langevin.axis_x_2") },
        time: (frame) => t("ula.at", { step: steps[frame] }),
        layers: [heat({ values: picture, shape: picture.shape }, answer.box, "q")],
        perSecond: 14,
        from,
      }),
    );
    const eta = numberTex(asked.eta, 3);
    fill("N1.ula_step", `\\mathbf x'=\\mathbf x+${numberTex(asked.eta / 2, 3)}\\,\\nabla\\log p(\\mathbf x)+\\sqrt{${eta}}\\,\\mathbf z`);
    if (playing || (first && !matchMedia("(prefers-reduced-motion: reduce)").matches)) both[0].moving.play();
  };
}

function unpack(sampler, chains) {
  const edges = decode(sampler.edges);
  return {
    frames: decode(sampler.frames),
    second: rowsOf(decode(sampler.second)),
    deviation: decode(sampler.deviation),
    bars: histogram({ edges, counts: decode(sampler.counts), probability: decode(sampler.probability) }, chains),
  };
}

const cell = (key, name, [value, shown]) =>
  node("td", { dataset: { label: words(name === "ula" ? "ula.unadjusted" : "ula.adjusted"), quantity: `${name}.${key}`, exact: String(value) } }, shown);

function histogramSpec({ answer, samplers, curve: [x, y] }, name, frame) {
  const { bars } = samplers[name];
  return {
    title: t(`ula.histogram_${name}`),
    summary: t("ula.histogram_summary"),
    x: { min: answer.box[0], max: answer.box[1], label: t("langevin.axis_x_1"), symbol: "x₁", exact: true },
    y: { min: 0, max: bars.ceiling, label: t("langevin.axis_density") },
    bars: [{ name: t("ula.samples"), role: "xt", edges: bars.edges, heights: bars.heights(frame).map((height) => Math.min(height, bars.ceiling)) }],
    areas: [{ name: t("langevin.chance"), role: "q", ...bars.band }],
    lines: [{ name: t("ula.law"), role: "q", x, y }],
    height: 220,
  };
}
