// The page's own controls: native inputs with a label, a reading and a setting that the address keeps. Each returns {element, setting}.
import { setting } from "./link.js";
import { node, number, rich, t } from "./text.js";

let count = 0;
const newId = (key) => `${key.replaceAll(".", "-")}-${(count += 1)}`;

function field(key, id, ...parts) {
  const label = rich(node("label", { className: "field-label", htmlFor: id }), t(key));
  return node("div", { className: "control", dataset: { control: key } }, node("div", { className: "control-head" }, label, ...parts.slice(0, 1)), ...parts.slice(1));
}

const finite = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined);

// A slider over [min, max]; with log, equal distances are equal factors. `shown` writes the value.
export function slider(key, { min, max, step, initial, log = false, shown = (value) => number(value, 3) }) {
  const inside = (value) => value !== undefined && value >= min && value <= max;
  const value = setting(key, initial, (text) => (inside(finite(text)) ? finite(text) : undefined));
  const place = (x) => (log ? Math.log(x) : x);
  const STEPS = 200;
  const range = log ? { min: 0, max: STEPS, step: 1 } : { min, max, step };
  const toRange = (x) => (log ? (STEPS * (place(x) - place(min))) / (place(max) - place(min)) : x);
  const fromRange = (x) => (log ? Number(Math.exp(place(min) + (x / STEPS) * (place(max) - place(min))).toPrecision(3)) : x);
  const id = newId(key);
  const input = node("input", { type: "range", id, className: "slider", ...range });
  const output = node("output", { className: "reading", htmlFor: id });
  const show = (x) => {
    if (document.activeElement !== input || Math.abs(Number(input.value) - toRange(x)) > 1) input.value = toRange(x);
    output.textContent = shown(x);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => value.set(Math.min(max, Math.max(min, fromRange(Number(input.value))))));
  value.subscribe(show);
  return { element: field(key, id, output, input), setting: value, input };
}

// A few words of which one holds; each is said by the text `${key}.${word}`. More than five become a list to open.
export function choice(key, words, initial) {
  const value = setting(key, initial, (text) => (words.includes(text) ? text : undefined));
  if (words.length > 5) return list(key, words, value);
  const id = newId(key);
  const buttons = words.map((word) => {
    const button = node("button", { type: "button", role: "radio", className: "option", dataset: { word } });
    rich(button, t(`${key}.${word}`));
    button.addEventListener("click", () => value.set(word));
    return button;
  });
  const group = node("div", { className: "options", role: "radiogroup", id }, ...buttons);
  group.setAttribute("aria-label", t(key).replaceAll("$", ""));
  group.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    const next = (words.indexOf(value.value) + direction + words.length) % words.length;
    value.set(words[next]);
    buttons[next].focus();
  });
  value.subscribe((chosen) =>
    buttons.forEach((button, index) => {
      button.setAttribute("aria-checked", String(words[index] === chosen));
      button.tabIndex = words[index] === chosen ? 0 : -1;
    }),
  );
  // Show only the words for which `possible` holds; a chosen one that is not goes back to the initial word.
  const allow = (possible) => {
    buttons.forEach((button, index) => {
      button.hidden = !possible(words[index]);
    });
    if (!possible(value.value)) value.set(initial);
  };
  return { element: field(key, id, null, group), setting: value, allow };
}

function list(key, words, value) {
  const id = newId(key);
  const options = words.map((word) => node("option", { value: word }, t(`${key}.${word}`).replaceAll("$", "")));
  const select = node("select", { id, className: "list" }, ...options);
  select.addEventListener("change", () => value.set(select.value));
  value.subscribe((chosen) => {
    select.value = chosen;
  });
  return { element: field(key, id, null, select), setting: value };
}

export function toggle(key, initial) {
  const value = setting(key, initial, (text) => ({ 1: true, 0: false })[text], (on) => (on ? "1" : "0"));
  const input = node("input", { type: "checkbox", className: "toggle" });
  input.addEventListener("change", () => value.set(input.checked));
  value.subscribe((on) => {
    input.checked = on;
  });
  const label = node("label", { className: "toggle-label" }, input, rich(node("span"), t(key)));
  return { element: node("div", { className: "control", dataset: { control: key } }, label), setting: value };
}

// A seed, and a button for another one. What is typed is sent as it is: Python says what is wrong with it.
export function seed(key, initial = 0) {
  const value = setting(key, initial, finite);
  const id = newId(key);
  const input = node("input", { type: "number", id, min: 0, step: 1, className: "number" });
  const another = node("button", { type: "button", className: "small-button" }, t("control.another_seed"));
  input.addEventListener("change", () => value.set(input.value === "" ? null : Number(input.value)));
  another.addEventListener("click", () => value.set(Math.floor(Math.random() * 1e6)));
  value.subscribe((now) => {
    input.value = now ?? "";
  });
  return { element: field(key, id, null, node("div", { className: "row" }, input, another)), setting: value };
}

// A line of text, sent when it is finished.
export function words(key, initial) {
  const value = setting(key, initial);
  const id = newId(key);
  const input = node("input", { type: "text", id, className: "words", spellcheck: false });
  input.addEventListener("change", () => value.set(input.value));
  value.subscribe((now) => {
    input.value = now;
  });
  return { element: field(key, id, null, input), setting: value };
}

export function button(key, onPress, { primary = false } = {}) {
  const element = node("button", { type: "button", className: primary ? "main-button" : "small-button" });
  rich(element, t(key));
  element.addEventListener("click", onPress);
  return element;
}
