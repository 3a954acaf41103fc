// Sampling: the frame that is being computed, then the whole film to move through; a click on an image chooses the one to open up below.
import { modelInfo } from "./chosen_model.js";
import { choice, seed, slider, toggle } from "./controls.js";
import { decode, paintSheet } from "./picture.js";
import { runLab } from "./run_lab.js";
import { signal } from "./store.js";
import { ROLE_TEX, node, say, t, tex } from "./text.js";

const LONGEST = 1000;

// How far the visitor's run has come, for what can be taken along of it: null before the first.
export const filmed = signal(null);

export function film(root, parts) {
  const steps = slider("sampling.steps", { min: 1, max: LONGEST, step: 1, initial: 50, shown: String });
  const controls = {
    images: slider("sampling.images", { min: 1, max: parts.props.most, step: 1, initial: 16, shown: String }),
    steps,
    about: say("p", "sampling.steps_info", {}, "note"),
    variance: choice("sampling.variance", ["fixed_small", "fixed_large", "analytic"], "fixed_small"),
    spacing: choice("sampling.spacing", ["trailing", "linspace", "leading", "quadratic", "optimal"], "trailing"),
    clip: toggle("sampling.clip", true),
    seed: seed("sampling.seed"),
  };
  modelInfo.subscribe(({ T, analytic }) => {
    controls.variance.allow((word) => analytic || word !== "analytic");
    controls.spacing.allow((word) => analytic || word !== "optimal");
    steps.input.max = Math.min(LONGEST, T);
    if (steps.setting.value > T) steps.setting.set(T);
  });
  let screen = null;
  const take = runLab(root, parts, {
    name: "sampling",
    controls,
    stopKey: "sampling.stop",
    build: (stage) => {
      screen = makeScreen(root, stage, parts.trigger);
      return (payload, phase) => {
        if (phase === "stopped") return; // what there is of a stopped run comes as a film of its own
        if (payload.frame) screen.showFrame(payload.frame);
        else screen.showReel(payload);
      };
    },
  });
  // The film of a run that was stopped; by now there may be another.
  const late = (payload) => root.dataset.phase === "stopped" && screen.showReel(payload);
  return Object.assign((payload) => (payload.halted ? late(payload) : take(payload)), { failed: take.failed });
}

function makeScreen(root, stage, trigger) {
  const status = node("p", { className: "status", role: "status" });
  const bar = node("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", t("film.progress"));
  const sheets = [makeSheet("xt", ROLE_TEX.xt, "film.xt"), makeSheet("p", ROLE_TEX.x0hat, "film.x0hat")];
  const scrub = node("input", { type: "range", min: 0, step: 1, className: "scrub" });
  scrub.setAttribute("aria-label", t("film.scrub"));
  const scrubLabel = node("output", { className: "scrub-label" });
  const scrubRow = node("div", { className: "scrub-row", hidden: true }, say("span", "film.scrub", {}, "field-label"), scrub, scrubLabel);
  stage.append(status, bar, node("div", { className: "sheets" }, ...sheets.map((sheet) => sheet.figure)), scrubRow);
  let reel = null;
  let chosen = 0;

  const paintFrame = ({ x_t, x_0_hat, count }, position) => {
    [x_t, x_0_hat].forEach((values, index) => sheets[index].show(values, count, position, chosen));
  };

  const showFrame = (frame) => {
    const [x_t, x_0_hat] = [frame.x_t, frame.x_0_hat].map(decode);
    const count = x_t.shape[0];
    if (chosen >= count) chosen = 0;
    paintFrame({ x_t: wrap(x_t), x_0_hat: wrap(x_0_hat), count }, 0);
    bar.value = (frame.index + 1) / frame.total;
    status.replaceChildren(say("span", "film.running", { step: frame.index + 1, total: frame.total, t: frame.t, s: frame.s }));
    filmed.set(null);
    scrubRow.hidden = true;
  };

  const showPosition = () => {
    const position = Number(scrub.value);
    paintFrame(reel, position);
    const last = position >= reel.t.length;
    scrubLabel.textContent = last ? t("film.result") : t("film.position", { step: reel.index[position] + 1, total: reel.total, t: reel.t[position] });
    scrub.setAttribute("aria-valuetext", scrubLabel.textContent);
  };

  const open = () => trigger("select", { position: Math.min(Number(scrub.value), reel.t.length - 1), image: chosen });

  const showReel = (payload) => {
    const [x_t, x_0_hat] = [payload.x_t, payload.x_0_hat].map(decode);
    reel = { ...payload, x_t, x_0_hat, count: x_t.shape[1] };
    if (chosen >= reel.count) chosen = 0;
    scrub.max = reel.finished ? reel.t.length : reel.t.length - 1;
    scrub.value = scrub.max;
    scrubRow.hidden = false;
    bar.value = (reel.index.at(-1) + 1) / reel.total;
    const values = { step: reel.index.at(-1) + 1, total: reel.total, seconds: reel.seconds.toFixed(1), kept: reel.t.length, images: reel.count };
    status.replaceChildren(say("span", reel.finished ? "film.finished" : "film.stopped", values));
    if (reel.limit) status.append(" ", say("span", "film.limit", { limit: reel.limit }, "warning"));
    if (reel.t.length < reel.index.at(-1) + 1) status.append(" ", say("span", "film.kept", values));
    if (reel.few) status.append(" ", say("span", "film.few_steps", { ...values, T: reel.T }, "warning"));
    if (!reel.finished) root.dataset.phase = "stopped";
    showPosition();
    open();
    filmed.set({ finished: reel.finished, steps: reel.t.length });
  };

  scrub.addEventListener("input", () => {
    showPosition();
    open();
  });
  sheets.forEach((sheet) =>
    sheet.onChoose((image) => {
      if (!reel || scrubRow.hidden || image >= reel.count) return;
      chosen = image;
      showPosition();
      open();
    }),
  );
  return { showFrame, showReel };
}

// One frame looks like a film of one frame: (1, N, H, W[, 3]).
const wrap = (values) => Object.assign(values, { shape: [1, ...values.shape] });

function makeSheet(role, symbol, key) {
  const canvas = node("canvas", { role: "img", tabIndex: 0 });
  canvas.setAttribute("aria-label", t(key).replaceAll("$", ""));
  const ring = node("div", { className: "ring", hidden: true });
  const caption = node("figcaption", {}, tex(node("span", { className: "tile-symbol" }), symbol), say("span", key, {}, "tile-words"));
  const figure = node("figure", { className: `sheet role-${role}` }, caption, node("div", { className: "sheet-canvas" }, canvas, ring));
  let layout = { columns: 1, rows: 1, count: 1, chosen: 0 };
  let choose = () => {};

  canvas.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * layout.columns);
    choose(Math.floor(((event.clientY - box.top) / box.height) * layout.rows) * layout.columns + column);
  });
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -layout.columns, ArrowDown: layout.columns };
    const next = layout.chosen + (moves[event.key] ?? NaN);
    if (!(next >= 0 && next < layout.count)) return;
    event.preventDefault();
    choose(next);
  });

  return {
    figure,
    onChoose: (callback) => {
      choose = callback;
    },
    show: (values, count, position, chosen) => {
      const frames = values.shape[0];
      const columns = Math.ceil(Math.sqrt(count));
      const shape = values.shape.slice(1);
      paintSheet(canvas, values, shape, columns, Math.min(position, frames - 1) * shape.reduce((product, size) => product * size, 1));
      layout = { columns, rows: Math.ceil(count / columns), count, chosen };
      ring.hidden = count === 1;
      ring.style.width = `${100 / layout.columns}%`;
      ring.style.height = `${100 / layout.rows}%`;
      ring.style.left = `${(100 * (chosen % columns)) / columns}%`;
      ring.style.top = `${(100 * Math.floor(chosen / columns)) / layout.rows}%`;
    },
  };
}
