// The derivation as a walk: one line at a time, its formula, its words, both sides evaluated on data drawn now, and the equations it uses.
import { ask } from "../ask.js";
import { cards, whenNear } from "../card.js";
import { extent } from "../axis.js";
import { chart } from "../chart.js";
import { choice, seed, slider } from "../controls.js";
import { setting } from "../link.js";
import { decode } from "../picture.js";
import { runLab } from "../run_lab.js";
import { node, number, rich, say, t, tex } from "../text.js";

const RELATION = { "=": "=", ">=": "\\ge", "~": "\\sim" };
const MARK = { true: "✓", false: "✗" };

export function derivation(root, parts) {
  const whole = (name, min, max, initial, step = 1) => slider(`derivation.${name}`, { min, max, step, initial, shown: String });
  const controls = {
    law: choice("derivation.law", ["bumps", "peaks", "gaussian"], "bumps"),
    model: choice("derivation.model", ["perfect", "one_gaussian"], "perfect"),
    steps: whole("steps", 2, 12, 6),
    variance: choice("derivation.variance", ["fixed_large", "fixed_small"], "fixed_large"),
    data: whole("data", 1, 32, 12),
    trajectories: whole("trajectories", 500, 8000, 3000, 500),
    seed: seed("derivation.seed"),
  };
  return runLab(root, parts, { name: "derivation", controls, build: (stage) => build(stage, controls), waits: false });
}

function build(stage, controls) {
  const where = setting("walk", 1, (text) => (/^\d{1,2}$/.test(text) && Number(text) >= 1 ? Number(text) : undefined));
  const walker = walk(stage, where);
  let lines = [];
  let results = new Map();
  let drawn = null;

  const show = () => {
    if (!lines.length) return;
    const place = Math.min(lines.length, where.value) - 1;
    walker.show(lines, place, results, drawn);
  };
  where.subscribe(show);
  // Results belong to the settings they were computed with.
  Object.values(controls).forEach(({ setting: one }) =>
    one.subscribe(() => {
      results = new Map();
      walker.status("derivation.ready", {});
      show();
    }),
  );
  whenNear(stage, async () => {
    lines = (await ask("derivation", {})).lines;
    show();
    stage.dataset.state = "drawn";
  });
  return (payload, phase) => {
    results = new Map(payload.lines.map((line) => [line.key, line]));
    drawn = payload;
    const held = payload.lines.filter((line) => line.holds).length;
    const seconds = payload.lines.reduce((sum, line) => sum + line.seconds, 0);
    walker.status(`derivation.${phase}`, { done: payload.lines.length, total: lines.length, held, seconds: seconds.toFixed(1) });
    show();
  };
}

function walk(stage, where) {
  const status = node("p", { className: "status", role: "status" });
  const back = step("derivation.back", -1);
  const next = step("derivation.next", 1);
  const count = node("span", { className: "walk-count" });
  const chips = node("ol", { className: "walk-lines" });
  const formula = node("div", { className: "formula-block walk-formula" });
  const words = node("p", { className: "walk-words" });
  const sides = node("div", { className: "walk-sides" });
  const verdict = node("p", { className: "verdict walk-verdict" });
  const route = node("p", { className: "note" });
  const terms = node("div", { className: "wide-chart", dataset: { chart: "terms" } });
  const equations = node("div");
  const data = node("div", { className: "wide-chart", dataset: { chart: "data" } });
  const line = node("div", { className: "walk-line", role: "group", tabIndex: 0 }, formula, words, sides, verdict, route, terms);
  stage.append(status, node("div", { className: "row walk-steps" }, back, count, next), chips, line, equations, say("p", "derivation.errors", {}, "note"), data);
  const drawTerms = chart(terms);
  const drawData = chart(data);
  let total = 0;
  let shown = null;

  function step(key, direction) {
    const button = node("button", { type: "button", className: "small-button", dataset: { step: String(direction) } }, t(key));
    button.addEventListener("click", () => go(where.value + direction));
    return button;
  }
  const go = (place) => where.set(Math.max(1, Math.min(total, place)));
  line.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: where.value - 1, ArrowRight: where.value + 1, Home: 1, End: total }[event.key];
    // The chart inside reads its own arrows.
    if (move === undefined || event.target !== line) return;
    event.preventDefault();
    go(move);
  });

  const show = (lines, place, results, drawn) => {
    total = lines.length;
    const one = lines[place];
    const result = results.get(one.key);
    back.disabled = place === 0;
    next.disabled = place === total - 1;
    count.textContent = t("derivation.count", { number: place + 1, total });
    chips.replaceChildren(...lines.map((each, index) => chip(each, index, index === place, results.get(each.key), go)));
    line.dataset.line = one.key;
    line.setAttribute("aria-label", t("derivation.count", { number: place + 1, total }));
    tex(formula, one.latex, true);
    rich(words, withFormulas(one.words[window.ddpm.language]));
    rich(route, withFormulas(one.route[window.ddpm.language]));
    if (shown !== one.key) equations.replaceChildren(cards(one.equations).element);
    shown = one.key;
    drawSides(sides, verdict, one, result);
    const several = Boolean(result) && (one.relation === "~" || decode(result.sides.left.value).length > 1);
    terms.hidden = !several;
    if (several) drawTerms(termSpec(one, result));
    data.hidden = !drawn;
    if (drawn) drawData(dataSpec(drawn));
  };
  return { show, status: (key, values) => status.replaceChildren(say("span", key, values)) };
}

function chip(line, index, current, result, go) {
  const button = node("button", { type: "button", className: "walk-chip", dataset: { chip: line.key } }, `${index + 1} `, say("span", `line.${line.key}`));
  if (current) button.setAttribute("aria-current", "step");
  if (result) {
    button.append(" ", node("span", { className: result.holds ? "holds" : "breaks" }, MARK[result.holds]));
    button.dataset.holds = String(result.holds);
  }
  button.addEventListener("click", () => go(index + 1));
  return node("li", {}, button);
}

// The error of the side's number that is shown: all are of one number, or of the element where the sides agree least.
const errorOf = (side, element) => {
  const errors = decode(side.error);
  return errors[errors.length > 1 ? (element ?? 0) : 0];
};

function drawSides(sides, verdict, line, result) {
  sides.hidden = verdict.hidden = !result;
  if (!result) return;
  const box = (name) => {
    const value = node("span", { className: "walk-value", dataset: { side: name, exact: String(result[name]) } }, number(result[name], 7));
    // The error of a reweighted line is that of its minima, not of the values.
    const error = line.relation === "~" ? null : node("span", { className: "tile-words" }, `± ${number(errorOf(result.sides[name], result.element), 2)}`);
    return node("div", { className: `walk-side role-${name === "left" ? "q" : "p"}` }, say("span", `derivation.${name}`, {}, "tile-words"), value, error);
  };
  // On a narrow screen the sign goes to the next line with what follows it.
  const rest = node("div", { className: "walk-rest" }, tex(node("span", { className: "sign" }), RELATION[line.relation]), box("right"));
  sides.replaceChildren(box("left"), rest);
  const values = { difference: number(result.difference, 3), tolerance: number(result.tolerance, 2), t: result.element === null ? "" : timeOf(result, result.element) };
  const key = { "=": "equal", ">=": "gap", "~": "minima" }[line.relation];
  const element = result.element === null ? [] : [" ", say("span", "derivation.worst", values, "note")];
  verdict.replaceChildren(say("span", result.holds ? `derivation.${key}` : "derivation.broken", values), ...element);
  verdict.classList.toggle("failed", !result.holds);
  verdict.dataset.holds = String(result.holds);
  verdict.dataset.exact = String(result.difference);
}

// A line whose numbers are one for each t may leave out the first t: it ends at T in any case.
const timeOf = (result, index) => index + 1 + (result.key === "posterior" ? 1 : 0);

function termSpec(line, result) {
  const minima = line.relation === "~";
  const [left, right] = ["left", "right"].map((name) => Array.from(decode(minima ? result.sides[name].minimum : result.sides[name].value)));
  const errors = Array.from(decode(result.sides.right.error));
  const x = left.length > 1 ? left.map((_, index) => timeOf(result, index)) : [1];
  const [low, high] = extent([...left, ...right]);
  const room = Math.max(1e-9, high - low) * 0.08;
  return {
    title: t(minima ? "derivation.chart_minima" : "derivation.chart_terms"),
    x: { min: x[0] - 0.5, max: x[x.length - 1] + 0.5, label: t("axis.notes_t") },
    y: { min: minima ? Math.min(0, low) : low - room, max: minima ? Math.max(1.2, high) : high + room, label: t(minima ? "axis.factor" : "axis.nats") },
    lines: [
      { name: t("derivation.left"), role: "q", x, y: left },
      { name: t("derivation.right"), role: "p", x, y: right, points: true, error: minima ? null : errors },
    ],
    height: 190,
  };
}

function dataSpec(drawn) {
  const [place, law, assumed, data] = ["place", "law", "assumed", "data"].map((name) => Array.from(decode(drawn[name])));
  const top = Math.max(...law, ...assumed) * 1.08;
  return {
    title: t("derivation.chart_data", { count: data.length }),
    x: { min: place[0], max: place[place.length - 1], label: t("axis.x_0"), exact: true, symbol: "x" },
    y: { min: 0, max: top, label: t("axis.density") },
    lines: [
      { name: t("derivation.law_line"), role: "q", x: place, y: law },
      { name: t("derivation.model_line"), role: "p", dashed: true, x: place, y: assumed },
      { name: t("derivation.data_points"), role: "x0", points: true, x: data, y: data.map(() => top * 0.03) },
    ],
    height: 190,
  };
}

// The library's sentences write x_{t-1}, p_theta and eps_theta as on a terminal; here they are typeset.
const GREEK = { theta: "\\theta", θ: "\\theta", eps: "\\varepsilon", ε: "\\varepsilon", mu: "\\mu", sigma: "\\sigma", beta: "\\beta" };
const SYMBOL = /\b(eps|mu|sigma|beta|ε|[A-Za-z])_(\{[^}]*\}|simple|theta|[A-Za-z0-9θ]+)|(?<![\p{L}\d])ε_θ/gu;

export function withFormulas(text) {
  return text.replace(SYMBOL, (whole) => {
    const [name, ...rest] = whole.split("_");
    const below = rest.join("_").replace(/^\{|\}$/g, "");
    const index = GREEK[below] ?? (/^[A-Za-z]{2,}$/.test(below) ? `\\text{${below}}` : below);
    return `$${GREEK[name] ?? name}_{${index}}$`;
  });
}
