// Words and formulas: texts by id from the table that Python put into the page, numbers, and KaTeX (the copy that Gradio serves).

const katexAddress = document.getElementById("ddpm-katex").href;
const katex = import(katexAddress).then((module) => module.default);

const texts = () => window.gradio_config?.i18n_translations?.[window.ddpm.language] ?? {};

export const known = (key) => key in texts();

export function t(key, values = {}) {
  const table = texts();
  if (!(key in table)) console.error(`no text for "${key}" in ${window.ddpm.language}`);
  return (table[key] ?? key).replace(/\{(\w+)(?::[^}]*)?\}/g, (whole, name) => (name in values ? values[name] : whole));
}

// An error from Python as parts of an element: its sentence, with the names of fields, reasons and empty entries in the visitor's language, and below it
// what another library said about the reason. All of it is plain text.
export function errorParts({ key, values }) {
  const reason = Object.values(values).find((value) => value?.key);
  const detail = reason?.detail && node("span", { className: "error-detail" }, t("error.detail"), node("code", { lang: "en" }, reason.detail));
  return [errorSentence(key, values), ...(detail ? [detail] : [])];
}

function errorSentence(key, values) {
  const words = (value) => (value?.key ? t(value.key, value.values) : (value ?? t("error.empty")));
  const shown = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, words(value)]));
  // A lab has put its control's own label there already.
  if (key.startsWith("error.form.") && known(`field.${shown.name}`)) shown.name = t(`field.${shown.name}`);
  return t(key, shown);
}

export function node(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { dataset, ...rest } = properties;
  Object.assign(element.dataset, dataset ?? {});
  for (const [name, value] of Object.entries(rest)) {
    if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// A formula that is wider than its place can be scrolled, by the keyboard too; one that fits is no stop on the way of the Tab key.
const reach = (block) => {
  if (block.scrollWidth > block.clientWidth) {
    block.tabIndex = 0;
    block.setAttribute("role", "group");
    block.setAttribute("aria-label", t("formula.scrolls"));
  } else ["tabindex", "role", "aria-label"].forEach((name) => block.removeAttribute(name));
};
const blocks = new ResizeObserver((entries) => entries.forEach(({ target }) => reach(target)));
// A font that comes late makes a formula wider and leaves its block as wide as it was, of which the observer hears nothing.
document.fonts.addEventListener("loadingdone", () => document.querySelectorAll(".katex-display").forEach((formula) => reach(formula.parentElement)));

// Render TeX into an element; \htmlClass{role-x0}{...} gives a symbol the colour of its role, in light and dark.
export function tex(element, source, displayMode = false) {
  element.dataset.tex = source;
  katex.then((engine) => {
    if (element.dataset.tex !== source) return;
    engine.render(source, element, { displayMode, trust: true, strict: false, throwOnError: false });
    if (!displayMode) return;
    // Observed anew, it is measured when the browser has laid the page out; at once, each of many formulas would make it do so.
    blocks.unobserve(element);
    blocks.observe(element);
  });
  return element;
}

// A text whose $...$ parts are formulas. Everything else is plain text: nothing is read as HTML.
export function rich(element, source) {
  const parts = source.split("$");
  const pieces = [];
  for (let index = 0; index < parts.length; index += 2) {
    if (parts[index]) pieces.push(document.createTextNode(parts[index]));
    if (index + 1 >= parts.length) break;
    // A formula keeps the punctuation that follows it on its line.
    const [punctuation] = /^[.,;:!?，。；：、！？）)]*/.exec(parts[index + 2] ?? "");
    if (punctuation) parts[index + 2] = parts[index + 2].slice(punctuation.length);
    pieces.push(node("span", { className: "unbroken" }, tex(node("span", { className: "formula" }), parts[index + 1]), punctuation));
  }
  element.replaceChildren(...pieces);
  return element;
}

export const say = (tag, key, values, className = "") => rich(node(tag, { className }), t(key, values));

export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const shown = size >= 1e5 || size < 1e-3 ? value.toExponential(digits - 2) : value.toPrecision(digits);
  return shown.replace("-", "−").replace(/e\+?(−|-)?(\d+)$/, (_, sign, power) => ` × 10${sign ? "⁻" : ""}${superscript(power)}`).replace("-", "−");
}

const superscript = (digits) => [...digits].map((digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(digit)]).join("");

export function numberTex(value, digits = 4) {
  const size = Math.abs(value);
  if (value === 0 || (size < 1e5 && size >= 1e-3)) return value === 0 ? "0" : value.toPrecision(digits);
  const [mantissa, power] = value.toExponential(digits - 2).split("e");
  return `${mantissa}\\times10^{${Number(power)}}`;
}

// value ± error, the value written to the error's second digit.
export function withError(value, error) {
  if (!error) return number(value);
  const decimals = Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(error))));
  const scale = Math.max(Math.abs(value), error);
  if (scale < 1e-3) {
    const power = Math.floor(Math.log10(scale));
    const shift = (x) => (x / 10 ** power).toFixed(Math.max(0, decimals + power));
    return `(${shift(value)} ± ${shift(error)}) × 10⁻${superscript(String(-power))}`.replace("(-", "(−");
  }
  return `${value.toFixed(decimals)} ± ${error.toFixed(decimals)}`.replace(/^-/, "−");
}

export const ROLE_TEX = {
  x0: "\\htmlClass{role-x0}{\\mathbf x_0}",
  x0hat: "\\htmlClass{role-p}{\\hat{\\mathbf x}_0}",
  xt: "\\htmlClass{role-xt}{\\mathbf x_t}",
  eps: "\\htmlClass{role-eps}{\\boldsymbol\\varepsilon}",
  epsTheta: "\\htmlClass{role-p}{\\boldsymbol\\varepsilon_\\theta}",
};
