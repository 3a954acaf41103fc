// The same picture along the whole path: a film strip, and the schedule's curves with the current t marked.
import { extent } from "./axis.js";
import { chain } from "./chain.js";
import { chart } from "./chart.js";
import { coefficients, mix } from "./noising.js";
import { paintPlanes } from "./picture.js";
import { noisedPicture } from "./store.js";
import { node, number, say, t } from "./text.js";

const FRAMES = 8;

export function path(root) {
  const strip = node("div", { className: "film-strip", role: "group" });
  strip.setAttribute("aria-label", t("path.strip"));
  const warning = node("p", { className: "note warning", hidden: true });
  const charts = ["signal", "snr", "beta"].map((name) => node("div", { dataset: { chart: name } }));
  root.append(say("h3", "path.strip", {}, "chart-title"), strip, warning, node("div", { className: "charts" }, ...charts));
  const draws = charts.map(chart);
  let curves = null;
  let frames = [];
  const step = chain().t.setting;

  const mark = (time) => {
    if (!curves || time >= curves.T) return;
    frames.forEach((frame) => frame.button.classList.toggle("current", frame === closest(frames, time)));
    specs(curves, time).forEach((spec, index) => draws[index](spec));
  };

  noisedPicture.subscribe((picture) => {
    curves = tables(picture);
    frames = Array.from({ length: FRAMES }, (_, index) => makeFrame(picture, Math.round((index * (picture.T - 1)) / (FRAMES - 1))));
    strip.replaceChildren(...frames.map((frame) => frame.button));
    const last = picture.alphaBar[picture.T - 1];
    warning.hidden = last <= 0.01;
    if (!warning.hidden) warning.replaceChildren(say("span", "path.not_noise", { value: number(last, 3), T: picture.T }));
    mark(step.value);
  });
  step.subscribe(mark);
}

const closest = (frames, time) => frames.reduce((best, frame) => (Math.abs(frame.time - time) < Math.abs(best.time - time) ? frame : best));

function makeFrame(picture, time) {
  const canvas = node("canvas");
  paintPlanes(canvas, mix(picture, coefficients(picture, time)), picture.shape);
  const button = node("button", { type: "button", className: "frame" }, canvas, node("span", {}, `t = ${time}`));
  button.addEventListener("click", () => chain().t.setting.set(time));
  return { button, time };
}

function tables(picture) {
  const all = Array.from(picture.alphaBar, (_, time) => coefficients(picture, time));
  return { T: picture.T, beta: picture.beta, ...Object.fromEntries(["alphaBar", "signal", "sigma", "snr"].map((name) => [name, all.map((row) => row[name])])) };
}

function specs(curves, marker) {
  const x = { min: 0, max: curves.T - 1, label: t("axis.t") };
  const onPick = (value) => chain().t.setting.set(Math.round(value));
  const [low, high] = extent(curves.snr, { positive: true });
  const signalLines = [
    { name: "$\\sqrt{\\bar\\alpha_t}$", role: "x0", y: curves.signal },
    { name: "$\\sqrt{1-\\bar\\alpha_t}$", role: "eps", y: curves.sigma },
    { name: "$\\bar\\alpha_t$", role: "q", y: curves.alphaBar, dashed: true },
  ];
  return [
    { title: t("path.signal"), x, y: { min: 0, max: 1, label: t("axis.coefficient") }, lines: signalLines, marker, onPick },
    { title: t("path.snr"), x, y: { min: low, max: high, log: true, label: t("axis.snr") }, lines: [{ name: "$\\mathrm{SNR}_t$", role: "q", y: curves.snr }], marker, onPick },
    { title: t("path.beta"), x, y: { min: 0, max: extent(curves.beta)[1], label: t("axis.beta") }, lines: [{ name: "$\\beta_t$", role: "q", y: curves.beta }], marker, onPick },
  ];
}
