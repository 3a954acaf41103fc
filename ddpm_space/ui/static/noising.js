// The picture equation x_t = a x_0 + b eps: x_t is mixed here, from the x_0, the eps and the table that Python sent, for the t of the slider.
import { CHAIN, asked, chain, onChange, whenQuiet } from "./chain.js";
import { lab } from "./lab.js";
import { numbers } from "./numbers.js";
import { decode, paintPlanes, sign, term, tile } from "./picture.js";
import { pictureSource } from "./source.js";
import { noisedPicture } from "./store.js";
import { ROLE_TEX, node, number, numberTex, say, t } from "./text.js";

const PLAY_SECONDS = 5;
const FORMULAS = ["N5.q_step", "N6.q_cumulative", "N3.q_cumulative_sample", "N8.prior_kl"];

export function unpack(payload) {
  const schedule = payload.schedule;
  const x0 = decode(payload.x_0);
  return { x0, eps: decode(payload.eps), shape: x0.shape, T: schedule.T, alphaBar: decode(schedule.alpha_bar), beta: decode(schedule.beta), priorBits: payload.L_T };
}

export function coefficients({ alphaBar }, time) {
  const value = alphaBar[time];
  return { alphaBar: value, signal: Math.sqrt(value), sigma: Math.sqrt(1 - value), snr: value / (1 - value) };
}

export function mix({ x0, eps }, { signal, sigma }, into = new Float32Array(x0.length)) {
  for (let index = 0; index < x0.length; index += 1) into[index] = signal * x0[index] + sigma * eps[index];
  return into;
}

export function noising(root) {
  const { t: step, ...settings } = chain();
  const frame = lab(root, "noising", {
    controls: { picture: pictureSource(), ...settings },
    build: (stage, { fill }) => build(stage, step, fill),
    cards: FORMULAS,
    values: asked,
    ask: false,
  });
  onChange(frame.refresh, CHAIN);
}

function build(stage, step, fill) {
  const tiles = {
    xt: tile({ role: "xt", symbol: ROLE_TEX.xt, textKey: "tile.xt" }),
    x0: tile({ role: "x0", symbol: ROLE_TEX.x0, textKey: "tile.x0" }),
    eps: tile({ role: "eps", symbol: ROLE_TEX.eps, textKey: "tile.eps" }),
  };
  const [left, signal, sigma] = [term(tiles.xt), term(tiles.x0, "x0"), term(tiles.eps, "eps")];
  const equation = node("div", { className: "picture-equation" }, left.element, sign("="), signal.element, sign("+"), sigma.element);
  const play = node("button", { type: "button", className: "small-button" });
  const list = node("div");
  const ends = node("p", { className: "note", dataset: { ends: "" }, hidden: true });
  stage.append(equation, step.element, node("p", { className: "note" }, t("noising.t_info")), play, ends, list);
  numbers(list);
  let picture = null;
  let mixed = null;

  // The cards follow when the slider rests: nobody reads four formulas while it moves.
  const fillCards = whenQuiet(() => picture && fillAll(fill, picture, step.setting.value));
  const show = (time) => {
    if (!picture || time >= picture.T) return;
    const now = coefficients(picture, time);
    mixed = mix(picture, now, mixed?.length === picture.x0.length ? mixed : undefined);
    paintPlanes(tiles.xt.canvas, mixed, picture.shape);
    signal.weight.textContent = `${number(now.signal)} ×`;
    sigma.weight.textContent = `${number(now.sigma)} ×`;
    fillCards();
  };
  const player = makePlayer(play, step.setting, () => picture);
  step.setting.subscribe(show);
  return (payload) => {
    player.stop();
    picture = unpack(payload);
    paintPlanes(tiles.x0.canvas, picture.x0, picture.shape);
    paintPlanes(tiles.eps.canvas, picture.eps, picture.shape);
    noisedPicture.set(picture);
    tellEnds(ends, payload.schedule.name, picture);
    show(step.setting.value);
  };
}

// The sigmoid stays sigmoid(-6) of the range short of the betas that were set: what it reaches is read from the table that Python sent.
function tellEnds(place, name, { beta, T }) {
  const { beta_1: first, beta_T: last } = chain();
  place.hidden = name !== "sigmoid";
  if (place.hidden) return;
  const values = { first: first.setting.value, last: last.setting.value, reached_first: beta[0], reached_last: beta[T - 1] };
  place.replaceChildren(say("span", "noising.ends_not_reached", Object.fromEntries(Object.entries(values).map(([key, value]) => [key, number(value)]))));
}

// The formulas with this step's numbers; what is drawn is shown at the middle pixel.
function fillAll(fill, picture, time) {
  const { alphaBar, signal, sigma } = coefficients(picture, time);
  const beta = picture.beta[time];
  const [channels, height, width] = picture.shape;
  const middle = Math.floor(height / 2) * width + Math.floor(width / 2);
  const [x0, eps] = [picture.x0[middle], picture.eps[middle]];
  const bracket = (value) => (value < 0 ? `(${numberTex(value)})` : numberTex(value));
  const last = picture.alphaBar[picture.T - 1];
  // x_0 is the clean picture: what the first step, t = 0, makes of it needs another name.
  const [here, before] = time === 0 ? ["x_{t=0}", "x_0"] : [`x_{${time}}`, time === 1 ? "x_{t=0}" : `x_{${time - 1}}`];
  fill("N5.q_step", `q(${here}\\mid ${before}) = \\mathcal N\\bigl(\\sqrt{1-${numberTex(beta)}}\\,${before},\\ ${numberTex(beta)}\\bigr) = \\mathcal N\\bigl(${numberTex(Math.sqrt(1 - beta))}\\,${before},\\ ${numberTex(beta)}\\bigr)`);
  fill("N6.q_cumulative", `q(${here}\\mid x_0) = \\mathcal N\\bigl(${numberTex(signal)}\\,x_0,\\ ${numberTex(1 - alphaBar)}\\bigr)`);
  fill("N3.q_cumulative_sample", `${numberTex(signal)}\\times${bracket(x0)} + ${numberTex(sigma)}\\times${bracket(eps)} = ${numberTex(signal * x0 + sigma * eps)}`);
  fill("N8.prior_kl", `L_T\\big/(${channels * height * width}\\ln 2) = ${numberTex(picture.priorBits)}\\ \\text{bits/dim},\\quad \\bar\\alpha_T = ${numberTex(last)}`);
}

// Runs t from 0 to the end at a steady pace; a second press, or a new picture, stops it.
function makePlayer(button, step, current) {
  let running = 0;
  const stop = () => {
    cancelAnimationFrame(running);
    running = 0;
    button.textContent = t("noising.play");
  };
  const start = () => {
    const last = current().T - 1;
    const from = step.value >= last ? 0 : step.value;
    const begun = performance.now();
    button.textContent = t("noising.pause");
    const frame = (now) => {
      const time = Math.max(0, Math.min(last, Math.round(from + ((now - begun) / 1000 / PLAY_SECONDS) * last)));
      step.set(time);
      if (time >= last) stop();
      else running = requestAnimationFrame(frame);
    };
    running = requestAnimationFrame(frame);
  };
  button.addEventListener("click", () => (running ? stop() : current() && start()));
  stop();
  return { stop };
}
