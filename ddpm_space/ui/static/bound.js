// The variational bound in bits/dim as its terms arrive: three parts that add up, each term over t, and the running sum.
import { extent } from "./axis.js";
import { chart } from "./chart.js";
import { decode } from "./picture.js";
import { node, number, say, t, withError } from "./text.js";

const PARTS = [
  ["L_T", "q"],
  ["L_t-1", "p"],
  ["L_0", "x0"],
];

export function bound(root) {
  const status = node("p", { className: "status", role: "status" });
  const bar = node("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", t("bound.progress"));
  const total = node("p", { className: "verdict" });
  const stack = node("div", { className: "stack", role: "img" });
  const parts = node("dl", { className: "parts" });
  const charts = [node("div", { dataset: { chart: "terms" } }), node("div", { dataset: { chart: "running" } })];
  const reading = node("div", { className: "note" });
  root.append(status, bar, total, stack, parts, node("div", { className: "charts two" }, ...charts), reading);
  const draws = charts.map(chart);

  return (payload) => {
    const [times, bits, running] = ["t", "bits", "running"].map((name) => decode(payload[name]));
    const finished = bits.length === payload.total;
    bar.value = bits.length / payload.total;
    root.dataset.phase = payload.stopped ? "stopped" : finished ? "finished" : "running";
    const values = { done: bits.length, total: payload.total, chain: payload.chain, T: payload.T, draws: payload.sum.draws };
    status.replaceChildren(say("span", `bound.${root.dataset.phase}`, values));
    total.replaceChildren(say("span", finished ? "bound.total" : "bound.so_far", { value: withError(payload.sum.mean, payload.sum.se) }));
    total.dataset.exact = String(payload.sum.mean);
    drawParts(stack, parts, payload);
    // The first value is L_T and belongs to no step; the terms of the steps follow it, from the noisiest down.
    const [steps, terms] = [Array.from(times).slice(1), Array.from(bits).slice(1)];
    termSpecs(payload, steps, terms, Array.from(running).slice(1)).forEach((spec, index) => draws[index](spec));
    const conventions = say("p", "bound.conventions", { variance: t(`variance.${payload.variance}`), clip: t(payload.clip ? "bound.clip_on" : "bound.clip_off"), ...values });
    reading.replaceChildren(...[conventions, payload.chain < payload.T ? say("p", "bound.respaced", values) : null].filter(Boolean));
  };
}

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

function termSpecs(payload, steps, terms, running) {
  // Most of the bits are spent at small t, which a linear axis would hide: t + 1, the notes' t, has a logarithm at t = 0 too.
  const x = { min: 1, max: payload.T, log: true, label: t("axis.t_plus_one"), symbol: "t + 1" };
  const [low, high] = extent(terms, { positive: true });
  const drawn = steps.map((time, index) => [time, terms[index]]).filter(([, value]) => value > 0);
  const top = Math.max(1e-6, ...running);
  return [
    {
      title: t("bound.chart_terms"),
      x,
      y: { min: 10 ** Math.floor(Math.log10(low)), max: 10 ** Math.ceil(Math.log10(high * 1.001)), log: true, label: t("axis.bits_term") },
      lines: [{ name: "$L_{t-1}$", role: "p", x: drawn.map(([time]) => time + 1), y: drawn.map(([, value]) => value) }],
    },
    {
      title: t("bound.chart_running"),
      x,
      y: { min: 0, max: top * 1.05, label: t("axis.bits_sum") },
      lines: [{ name: t("bound.running_line"), role: "q", x: steps.map((time) => time + 1), y: running }],
    },
  ];
}
