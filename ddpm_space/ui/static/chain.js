// The picture, the chain and t, which the sections of the noising tab share: its controls stand in the first of them.
import { choice, seed, slider } from "./controls.js";
import { chosenPicture } from "./source.js";
import { number, t } from "./text.js";

const VIEWS = ["gray_28", "gray_64", "gray_256", "colour_64", "colour_128", "colour_256"];
const SCHEDULES = ["linear", "cosine", "sigmoid", "scaled_linear", "laplace"];
const ENDED = ["linear", "scaled_linear", "sigmoid"]; // those that run from a beta_1 to a beta_T
const QUIET = 250; // milliseconds without a change before the sections further down ask again
let made = null;

// Made once, when the first section is: labels need the table of texts.
export function chain() {
  if (made) return made;
  const end = (key, initial) => slider(key, { min: 1e-5, max: 0.5, log: true, initial, shown: (value) => number(value, 3) });
  made = {
    t: slider("noising.t", { min: 0, max: 999, step: 1, initial: 250, shown: (value) => `t = ${value}` }),
    view: choice("noising.view", VIEWS, "gray_28"),
    schedule: choice("noising.schedule", SCHEDULES, "linear"),
    T: choice("noising.T", ["1000", "200", "50"], "1000"),
    beta_1: end("noising.beta_1", 1e-4),
    beta_T: end("noising.beta_T", 0.02),
    seed: seed("noising.seed"),
  };
  made.schedule.setting.subscribe((name) => {
    made.beta_1.element.hidden = !ENDED.includes(name);
    made.beta_T.element.hidden = !ENDED.includes(name);
  });
  made.T.setting.subscribe((length) => {
    made.t.input.max = Number(length) - 1;
    if (made.t.setting.value > Number(length) - 1) made.t.setting.set(Number(length) - 1);
  });
  made.t.input.setAttribute("aria-label", t("noising.t"));
  return made;
}

// What Python is asked: all of them, and the picture.
export function asked() {
  return { ...Object.fromEntries(Object.entries(chain()).map(([name, control]) => [name, control.setting.value])), picture: chosenPicture.value };
}

export function onChange(act, names) {
  chosenPicture.subscribe(act);
  names.forEach((name) => chain()[name].setting.subscribe(act));
}

export const CHAIN = ["view", "schedule", "T", "beta_1", "beta_T", "seed"];

// For what is not asked at every move of a slider.
export function whenQuiet(act) {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(act, QUIET);
  };
}

export const sideOf = (view) => Number(view.split("_")[1]);
