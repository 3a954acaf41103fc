// The picture equation x_t = a x_0 + b eps: x_t is mixed here, from the x_0, the eps and the table that Python sent, for the t of the slider.
import { decode, paintPlanes, sign, term, tile } from "./picture.js";
import { moveSlider, noisedPicture, step } from "./store.js";
import { ROLE_TEX, node, number, t } from "./text.js";

const SLIDER = "noise-t";
const PLAY_SECONDS = 5;

export function unpack(payload) {
  const schedule = payload.schedule;
  const x0 = decode(payload.x_0);
  return { x0, eps: decode(payload.eps), shape: x0.shape, T: schedule.T, scheduleName: schedule.name, alphaBar: decode(schedule.alpha_bar), beta: decode(schedule.beta) };
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
  const tiles = {
    xt: tile({ role: "xt", symbol: ROLE_TEX.xt, textKey: "tile.xt" }),
    x0: tile({ role: "x0", symbol: ROLE_TEX.x0, textKey: "tile.x0" }),
    eps: tile({ role: "eps", symbol: ROLE_TEX.eps, textKey: "tile.eps" }),
  };
  const [left, signal, sigma] = [term(tiles.xt), term(tiles.x0, "x0"), term(tiles.eps, "eps")];
  const equation = node("div", { className: "picture-equation" }, left.element, sign("="), signal.element, sign("+"), sigma.element);
  const play = node("button", { type: "button", className: "small-button" });
  root.append(equation, play);
  let picture = null;
  let mixed = null;

  const show = (time) => {
    if (!picture || time >= picture.T) return;
    const now = coefficients(picture, time);
    mixed = mix(picture, now, mixed?.length === picture.x0.length ? mixed : undefined);
    paintPlanes(tiles.xt.canvas, mixed, picture.shape);
    signal.weight.textContent = `${number(now.signal)} ×`;
    sigma.weight.textContent = `${number(now.sigma)} ×`;
  };

  const player = makePlayer(play, () => picture);
  step.subscribe(show);
  return (payload) => {
    player.stop();
    picture = unpack(payload);
    paintPlanes(tiles.x0.canvas, picture.x0, picture.shape);
    paintPlanes(tiles.eps.canvas, picture.eps, picture.shape);
    noisedPicture.set(picture);
    // The slider may have moved on while Python was drawing: its t counts, unless the new chain does not have it.
    if (step.value === null || step.value >= picture.T) step.set(payload.t);
    show(step.value);
  };
}

// Runs t from 0 to the end at a steady pace; a second press, or a new picture, stops it.
function makePlayer(button, current) {
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
      const time = Math.min(last, Math.round(from + ((now - begun) / 1000 / PLAY_SECONDS) * last));
      step.set(time);
      moveSlider(SLIDER, time);
      if (time >= last) stop();
      else running = requestAnimationFrame(frame);
    };
    running = requestAnimationFrame(frame);
  };
  button.addEventListener("click", () => (running ? stop() : current() && start()));
  stop();
  return { stop };
}
