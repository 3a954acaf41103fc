// The frame of a lab: controls beside a stage, an error in words, formula cards below. Its first question is asked when it comes near the screen.
import { latest } from "./ask.js";
import { cards as makeCards, whenNear } from "./card.js";
import { chosenModel } from "./chosen_model.js";
import { errorParts, known, node, say, t } from "./text.js";

// build(stage) -> draw(answer, values); controls: {name: control}. `values()` may add to or change what is asked.
// A lab without `build`'s answer to every change sets `ask: false` and asks by the returned `refresh()`.
export function lab(root, name, { controls, build, cards = [], values = (chosen) => chosen, after = null, ask = true }) {
  const notice = node("div", { className: "error-note", role: "alert", hidden: true });
  const stage = node("div", { className: "lab-stage", dataset: { lab: name } });
  const column = node("div", { className: "lab-controls" }, ...Object.values(controls).map((control) => control.element ?? control));
  const formulas = cards.length ? makeCards(cards) : null;
  root.append(notice, node("div", { className: "lab" }, stage, column), ...(formulas ? [formulas.element] : []));
  const draw = build(stage, { fill: formulas?.fill });
  const settings = Object.entries(controls).filter(([, control]) => control.setting);
  const chosen = () => values(Object.fromEntries(settings.map(([key, control]) => [key, control.setting.value])));
  const fail = (error) => {
    notice.hidden = !error;
    stage.classList.toggle("stale", Boolean(error));
    if (error) notice.replaceChildren(...errorParts(named(error, name)));
  };
  const send = latest(
    name,
    (answer, asked) => {
      fail(null);
      draw(answer, asked);
      stage.dataset.state = "drawn";
      stage.dataset.answers = String(Number(stage.dataset.answers ?? 0) + 1);
      after?.(answer, asked);
    },
    (error) => {
      fail(error);
      stage.dataset.state = "error";
    },
  );
  let near = false;
  const refresh = () => near && send(chosen());
  settings.forEach(([, control]) => control.setting.subscribe(() => ask && refresh()));
  whenNear(root, () => {
    near = true;
    if (ask) stage.dataset.state = "waiting";
    refresh();
  });
  return { refresh, stage, fail, chosen };
}

// An error that names a control by its name in Python says the control's own label.
export function named(error, lab) {
  const key = `${lab}.${error.values?.name}`;
  return known(key) ? { ...error, values: { ...error.values, name: t(key).replaceAll("$", "") } } : error;
}

// The frame of what runs long: run and stop buttons, a status line; payloads come one after another through Gradio's queue.
export function runner(root, { props, trigger, fail }, { runKey, stopKey, chosen, before = null }) {
  const run = node("button", { type: "button", className: "main-button", dataset: { run: "" } }, t(runKey));
  const stop = node("button", { type: "button", className: "small-button", disabled: true, dataset: { halt: "" } }, t(stopKey));
  const waiting = say("p", "wait.turn", {}, "waiting-note");
  waiting.setAttribute("role", "status");
  waiting.hidden = true;
  let latestRun = 0;
  const resting = () => {
    run.disabled = false;
    stop.disabled = true;
    waiting.hidden = true;
  };
  run.addEventListener("click", () => {
    latestRun += 1;
    run.disabled = true;
    stop.disabled = false;
    waiting.hidden = false;
    root.dataset.phase = "waiting";
    before?.();
    props.value = JSON.stringify({ asked: { model: chosenModel.value, ...chosen(), run: latestRun } });
    trigger("submit");
  });
  stop.addEventListener("click", () => {
    trigger("stop");
    resting();
    root.dataset.phase = "stopped";
  });
  const failed = () => {
    resting();
    root.dataset.phase = "failed";
  };
  // The queue was full, or nobody answered: Gradio says so in a notice of its own, and the run would wait for ever.
  document.addEventListener("ddpm-refused", ({ detail }) => {
    if (root.dataset.phase !== "waiting") return;
    failed();
    fail(detail);
  });
  return {
    element: node("div", { className: "row" }, run, stop, waiting),
    // Tell the runner what came: {done: true} ends the run; false means that the payload is late, of a run that was stopped.
    took: (payload) => {
      if (root.dataset.phase === "stopped" || payload.run !== latestRun) return false;
      waiting.hidden = true;
      root.dataset.phase = payload.done ? "finished" : "running";
      if (payload.done) resting();
      return true;
    },
    failed,
  };
}
