// Single steps against one jump: what was measured, how far apart, and whether chance explains it.
import { asked } from "./chain.js";
import { button } from "./controls.js";
import { lab } from "./lab.js";
import { node, number, say, t, tex, withError } from "./text.js";

const CHANCE = 3.5; // of nine differences, one beyond this comes by chance about once in 200 measurements

export function routes(root) {
  const measure = button("routes.measure", () => frame.refresh(), { primary: true });
  const frame = lab(root, "routes", { controls: { measure }, build, cards: ["N5.q_step", "N6.q_cumulative"], values: asked, ask: false });
}

function build(root) {
  const verdict = node("p", { className: "verdict" });
  const holder = node("div", { className: "table-holder" });
  const notes = node("div", { className: "note" });
  root.append(verdict, holder, notes);

  return (measured) => {
    const rows = ["mean", "signal", "variance"].filter((name) => measured[name]);
    const scores = rows.flatMap((name) => ["steps_to_theory", "jump_to_theory", "steps_to_jump"].map((pair) => Math.abs(measured[name][pair].z ?? Infinity)));
    const worst = Math.max(...scores);
    const values = { steps: measured.t + 1, t: measured.t, draws: measured.draws, z: worst.toFixed(1), count: scores.length };
    verdict.replaceChildren(say("span", worst <= CHANCE ? "routes.agree" : "routes.differ", values));
    verdict.dataset.worst = String(worst);
    holder.replaceChildren(table(measured, rows));
    const coupled = say("p", "routes.coupled", { error: number(measured.coupled_error, 2) });
    coupled.dataset.coupled = String(measured.coupled_error);
    const part = measured.pixels < measured.total_pixels ? say("p", "routes.part", { pixels: measured.pixels, total: measured.total_pixels }) : null;
    notes.replaceChildren(...[coupled, part, say("p", "routes.how", values)].filter(Boolean));
  };
}

function table(measured, rows) {
  const heads = ["quantity", "theory", "steps", "jump", "difference", "bar"].map((name) => say("th", `routes.${name}`, { steps: measured.t + 1 }));
  heads.forEach((head) => head.setAttribute("scope", "col"));
  const body = rows.map((name) => {
    const row = measured[name];
    const { value, se, z } = row.steps_to_jump;
    const cell = (text, key) => node("td", { dataset: { label: t(`routes.${key}`, { steps: measured.t + 1 }) } }, text);
    const bar = node("td", { className: "bar-cell", dataset: { label: t("routes.bar") } }, errorBar(value, se, name));
    const difference = cell(`${withError(value, se)}  (z = ${z === null ? "∞" : z.toFixed(1).replace("-", "−")})`, "difference");
    const quantity = node("th", { scope: "row" }, say("span", `routes.${name}`), tex(node("span", { className: "formula" }), SYMBOLS[name]));
    return node("tr", {}, quantity, cell(number(row.theory), "theory"), cell(number(row.steps), "steps"), cell(number(row.jump), "jump"), difference, bar);
  });
  return node("table", { className: "data" }, node("thead", {}, node("tr", {}, ...heads)), node("tbody", {}, ...body));
}

const SYMBOLS = {
  mean: "\\sqrt{\\bar\\alpha_t}\\,\\overline{x_0}",
  signal: "\\sqrt{\\bar\\alpha_t}",
  variance: "1-\\bar\\alpha_t",
};

// The difference as a dot with ± 2 standard errors about zero, on a scale of ± 5 standard errors.
function errorBar(value, se, name) {
  const place = (x) => 60 + (Math.max(-5, Math.min(5, se ? x / se : 0)) / 5) * 54;
  const centre = place(value);
  const half = (2 / 5) * 54;
  const holder = node("span", { className: "error-bar-holder" });
  const label = `${t(`routes.${name}`)}: ${withError(value, se)}`;
  holder.innerHTML = `<svg viewBox="0 0 120 24" width="120" height="24" role="img"><line class="zero" x1="60" x2="60" y1="1" y2="23"/><line class="span" x1="${centre - half}" x2="${centre + half}" y1="12" y2="12"/><circle cx="${centre}" cy="12" r="4"/></svg>`;
  holder.firstChild.setAttribute("aria-label", label);
  return holder;
}
