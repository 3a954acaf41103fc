// Mounts the panels: each `gr.HTML` of Python's `widgets.panel` calls `ddpm.mount`, and each new value of it is drawn by its panel.
import { bound } from "./bound.js";
import { contents } from "./contents.js";
import { errors } from "./errors.js";
import { downloads } from "./downloads.js";
import { film } from "./film.js";
import { gaussian } from "./labs/gaussian.js";
import { gradients } from "./labs/gradients.js";
import { iwae } from "./labs/iwae.js";
import { jensen } from "./labs/jensen.js";
import { mle } from "./labs/mle.js";
import { pairs } from "./labs/pairs.js";
import { langevin } from "./labs/langevin.js";
import { bridge } from "./labs/langevin_bridge.js";
import { msd } from "./labs/langevin_msd.js";
import { ula } from "./labs/langevin_score.js";
import { header, section } from "./heading.js";
import { named } from "./lab.js";
import { derivation } from "./labs/derivation.js";
import { thermo2015 } from "./labs/thermo2015.js";
import { modelChoice } from "./model_choice.js";
import { noising } from "./noising.js";
import { numbers } from "./numbers.js";
import { path } from "./path.js";
import { picker } from "./picker.js";
import { reverseStep } from "./reverse_step.js";
import { routes } from "./routes.js";
import { seen } from "./seen.js";
import { step } from "./store.js";
import { errorText, node, say } from "./text.js";
import { translateToasts } from "./toasts.js";

const PANELS = { header, section, contents, model: modelChoice, picker, noising, numbers, path, routes, seen, film, downloads, step: reverseStep, errors, bound };
// A lab's panel is `lab-NAME`; each lab is a file of `labs/`.
const LABS = { derivation, thermo2015, langevin, msd, bridge, ula, gaussian, pairs, gradients, mle, jensen, iwae };
Object.entries(LABS).forEach(([name, build]) => {
  PANELS[`lab-${name}`] = build;
});

// While an event waits for its turn or for the model, its panel says so; the event's inputs pass through unchanged.
const waitingNotes = {};
const waitIn = (panel) => (...inputs) => {
  waitingNotes[panel]?.();
  return inputs;
};
window.ddpm.waiting = { errors: waitIn("errors"), bound: waitIn("bound") };

// A stop ends the event between two of its answers: the panel keeps what has arrived and says that it is not all.
const stopNotes = {};
const stopIn = (panel) => (...inputs) => {
  stopNotes[panel]?.();
  return inputs;
};
window.ddpm.stopped = { errors: stopIn("errors"), bound: stopIn("bound") };

translateToasts();

window.ddpm.onStep = (time) => {
  // A number half typed into the slider's box may be no step at all.
  if (Number.isInteger(time) && time >= 0) step.set(time);
};

window.ddpm.mount = (element, props, trigger, watch) => {
  const root = element.querySelector("[data-panel]");
  const notice = node("div", { className: "error-note", role: "alert", hidden: true });
  const body = node("div", { className: "panel-body" });
  const empty = props.empty ? say("p", props.empty, {}, "empty") : null;
  const waiting = say("p", "wait.turn", {}, "waiting-note");
  waiting.setAttribute("role", "status");
  waiting.hidden = true;
  let halted = false;
  waitingNotes[root.dataset.panel] = () => {
    halted = false;
    waiting.hidden = false;
    notice.hidden = true;
    root.scrollIntoView({ block: "nearest", behavior: "smooth" });
  };
  root.replaceChildren(notice, waiting, ...(empty ? [empty] : []), body);
  const fail = (error) => {
    notice.hidden = !error;
    if (error) notice.textContent = errorText(named(error, root.dataset.panel.replace("lab-", "")));
  };
  const draw = PANELS[root.dataset.panel](body, { props, trigger, fail });
  if (empty) body.hidden = true;
  let latest = null;
  stopNotes[root.dataset.panel] = () => {
    halted = true;
    waiting.hidden = true;
    if (latest && body.dataset.phase === "running") draw({ ...latest, stopped: true });
  };

  const update = () => {
    if (!props.value) return;
    const payload = JSON.parse(props.value);
    if (payload.asked) return; // a question on its way to Python
    // What the stopped event still had on its way comes too late; only the film of a stopped run, which says "finished": false, is wanted.
    if (halted && !("finished" in payload)) return;
    waiting.hidden = true;
    fail(payload.error);
    root.dataset.state = payload.error ? "error" : "drawn";
    if (empty) empty.hidden = true;
    if (payload.error) {
      draw?.failed?.(payload.error);
      return;
    }
    body.hidden = false;
    latest = payload;
    draw?.(payload);
  };
  watch("value", update);
  update();
};
