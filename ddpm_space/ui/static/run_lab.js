// The frame of a lab that runs: controls and buttons beside a stage; what a run sends is drawn as it comes, and before that the stage says what will be there.
import { cards as makeCards } from "./card.js";
import { runner } from "./lab.js";
import { node, say } from "./text.js";

// build(stage) -> draw(payload, phase), drawn again with the phase "stopped" when the run is stopped. controls: {name: control}. `values()` may add to what is asked.
// waits: false where the stage has something to show before the first run. Returns what a panel returns: draw(payload), with `failed` for an error.
export function runLab(root, parts, { name, controls, build, cards = [], values = (chosen) => chosen, stopKey = "loss.stop", waits = true }) {
  const settings = Object.entries(controls).filter(([, control]) => control.setting);
  const chosen = () => values(Object.fromEntries(settings.map(([key, control]) => [key, control.setting.value])));
  const empty = waits ? say("p", `${name}.empty`, {}, "empty") : null;
  const drawn = node("div", { hidden: waits });
  const stage = node("div", { className: "lab-stage", dataset: { lab: name } }, empty, drawn);
  let latest = null;
  const run = runner(root, parts, {
    runKey: `${name}.run`,
    stopKey,
    chosen,
    before: () => {
      latest = null;
      parts.fail(null);
      stage.classList.add("stale");
    },
  });
  const column = node("div", { className: "lab-controls" }, ...Object.values(controls).map((control) => control.element ?? control), ...(waits ? [run.element] : []));
  if (!waits) stage.prepend(run.element);
  const formulas = cards.length ? makeCards(cards) : null;
  root.append(node("div", { className: waits ? "lab run-lab" : "lab" }, stage, column), ...(formulas ? [formulas.element] : []));
  const draw = build(drawn, { fill: formulas?.fill });
  run.element.querySelector("[data-halt]").addEventListener("click", () => {
    stage.classList.remove("stale");
    if (latest) draw(latest, "stopped");
  });
  const take = (payload) => {
    if (!run.took(payload)) return;
    latest = payload;
    if (empty) empty.hidden = true;
    drawn.hidden = false;
    stage.classList.remove("stale");
    draw(payload, payload.done ? "finished" : "running");
  };
  return Object.assign(take, {
    failed: () => {
      run.failed();
      stage.classList.remove("stale");
    },
  });
}
