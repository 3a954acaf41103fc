// Jensen's inequality: the function of the mean on the curve, the mean of the function below it, and what is between.
import { chart } from "../chart.js";
import { choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { below, dragging, mover, readings, routesTable } from "./measured.js";

const FUNCTIONS = ["log", "sqrt", "entropy", "parabola", "corner"];
const RANGE = [0.05, 4];

export function jensen(root) {
  const controls = {
    f: choice("jensen.f", FUNCTIONS, "log"),
    shape: choice("jensen.shape", ["two", "many"], "two"),
    low: slider("jensen.low", { min: RANGE[0], max: RANGE[1], step: 0.01, initial: 0.3 }),
    high: slider("jensen.high", { min: RANGE[0], max: RANGE[1], step: 0.01, initial: 3 }),
    p: slider("jensen.p", { min: 0, max: 1, step: 0.01, initial: 0.5 }),
    n: slider("jensen.n", { min: 2, max: 60, step: 1, initial: 12 }),
    seed: seed("jensen.seed"),
  };
  controls.shape.setting.subscribe((shape) => {
    controls.p.element.hidden = shape === "many";
    controls.n.element.hidden = shape === "two";
  });
  lab(root, "jensen", {
    controls,
    build: (stage, frame) => build(stage, frame, controls),
    cards: ["N9.jensen_sides", "N9.jensen_second_order", "N9.jensen_sampled"],
  });
}

function build(stage, { fill }, controls) {
  const verdict = stage.appendChild(node("p", { className: "verdict" }));
  verdict.setAttribute("role", "status");
  const curve = chart(stage.appendChild(node("div", { dataset: { chart: "jensen" } })));
  const later = below(stage);
  const list = later.appendChild(node("dl"));
  const holder = later.appendChild(node("div"));
  const how = later.appendChild(node("div"));
  const moves = [mover(controls.low, ...RANGE), mover(controls.high, ...RANGE)];
  const pick = dragging((start) => {
    const [low, high] = [controls.low, controls.high].map((control) => Math.abs(start - control.setting.value));
    return moves[low <= high ? 0 : 1];
  });

  return (answer) => {
    verdict.replaceChildren(say("span", answer.gap > 1e-9 ? "jensen.gap" : "jensen.no_gap", { gap: number(answer.gap, 4) }));
    curve(spec(answer, pick));
    readings(list, [
      ["mean", "\\mathbb E X", answer.mean, number(answer.mean)],
      ["f_of_mean", "f(\\mathbb E X)", answer.f_of_mean, number(answer.f_of_mean)],
      ["mean_of_f", "\\mathbb E f(X)", answer.mean_of_f, number(answer.mean_of_f)],
    ]);
    const { sampled } = answer;
    const corrected = sampled.gap - sampled.bias;
    const row = (name, mark, value, shown) => ({ key: `jensen.row.${name}`, mark, cells: [{ shown, value, name }] });
    routesTable(
      holder,
      ["jensen.route", "jensen.gap_head"],
      [
        row("gap", "f(\\mathbb E X) - \\mathbb E f(X)", answer.gap, number(answer.gap, 5)),
        row("second_order", "-\\tfrac12 f''(\\mathbb E X)\\operatorname{Var}X", answer.second_order, number(answer.second_order, 5)),
        row("sampled", "f(\\bar x) - \\overline{f(x)}", sampled.gap, withError(sampled.gap, sampled.se)),
        row("corrected", null, corrected, withError(corrected, sampled.se)),
      ],
      { draws: answer.draws, bias: number(sampled.bias, 2) },
    );
    how.replaceChildren(say("p", `jensen.how_${answer.f}`, {}, "note"), say("p", "jensen.drag", {}, "note"));
    fill("N9.jensen_sides", `${numberTex(answer.f_of_mean)} \\ge ${numberTex(answer.mean_of_f)}`);
    fill("N9.jensen_second_order", `${numberTex(answer.gap)} \\approx ${numberTex(answer.second_order)}`);
    fill("N9.jensen_sampled", `\\hat g = ${numberTex(sampled.gap)},\\qquad \\mathbb E\\hat g - g \\approx ${numberTex(sampled.bias)}`);
  };
}

function spec(answer, pick) {
  const [values, heights] = [decode(answer.values), decode(answer.of_values)];
  const ys = decode(answer.curve);
  const last = values.length - 1;
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const room = 0.06 * (high - low);
  return {
    title: t(`jensen.chart_${answer.f}`),
    height: 320,
    x: { min: answer.lowest, max: answer.highest, label: t("jensen.axis_x"), symbol: "x", exact: true },
    y: { min: low - room, max: high + room, label: t("jensen.axis_y") },
    lines: [
      { name: t("jensen.curve"), role: "q", x: decode(answer.x), y: ys },
      { name: t("jensen.chord"), role: "x0", dashed: true, x: [values[0], values[last]], y: [heights[0], heights[last]] },
      { role: "p", x: [answer.mean, answer.mean], y: [answer.mean_of_f, answer.f_of_mean] },
      { role: "x0", points: true, x: values, y: heights },
      { name: t("jensen.of_mean"), role: "xt", points: true, x: [answer.mean], y: [answer.f_of_mean] },
      { name: t("jensen.mean_of"), role: "p", points: true, x: [answer.mean], y: [answer.mean_of_f] },
    ],
    onPick: pick,
    summary: t("jensen.summary", { gap: number(answer.gap) }),
  };
}
