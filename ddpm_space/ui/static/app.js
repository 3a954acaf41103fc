// Mounts the panels: each `gr.HTML` of Python's `widgets.panel` calls `ddpm.mount`, and each new value of it is drawn by its panel.
import { contents } from "./contents.js";
import { downloads } from "./downloads.js";
import { film } from "./film.js";
import { gaussian } from "./labs/gaussian.js";
import { gradients } from "./labs/gradients.js";
import { iwae } from "./labs/iwae.js";
import { jensen } from "./labs/jensen.js";
import { live } from "./labs/live.js";
import { mistakes } from "./labs/mistakes.js";
import { mle } from "./labs/mle.js";
import { pairs } from "./labs/pairs.js";
import { plane } from "./labs/plane.js";
import { langevin } from "./labs/langevin.js";
import { bridge } from "./labs/langevin_bridge.js";
import { msd } from "./labs/langevin_msd.js";
import { ula } from "./labs/langevin_score.js";
import { header, section } from "./heading.js";
import { named } from "./lab.js";
import { bound } from "./labs/bound.js";
import { derivation } from "./labs/derivation.js";
import { errors } from "./labs/errors.js";
import { lossy } from "./labs/lossy.js";
import { thermo2015 } from "./labs/thermo2015.js";
import { clipping } from "./labs/clipping.js";
import { samplers } from "./labs/samplers.js";
import { stepCounts } from "./labs/step_counts.js";
import { modelChoice } from "./model_choice.js";
import { noising } from "./noising.js";
import { path } from "./path.js";
import { reverseStep } from "./reverse_step.js";
import { routes } from "./routes.js";
import { pixel } from "./labs/pixel.js";
import { posterior } from "./labs/posterior.js";
import { errorParts, node, say } from "./text.js";
import { translateToasts } from "./toasts.js";

const PANELS = { header, section, contents, model: modelChoice, path, film, downloads, step: reverseStep };
// A lab's panel is `lab-NAME`; each lab is a file of `labs/`.
const LABS = { noising, routes, pixel, posterior, clipping, step_counts: stepCounts, samplers, derivation, errors, bound, lossy, thermo2015, langevin, msd, bridge, ula, gaussian, pairs, gradients, mle, jensen, iwae, plane, live, mistakes };
Object.entries(LABS).forEach(([name, build]) => {
  PANELS[`lab-${name}`] = build;
});

translateToasts();

window.ddpm.mount = (element, props, trigger, watch) => {
  const root = element.querySelector("[data-panel]");
  const notice = node("div", { className: "error-note", role: "alert", hidden: true });
  const body = node("div", { className: "panel-body" });
  const empty = props.empty ? say("p", props.empty, {}, "empty") : null;
  root.replaceChildren(notice, ...(empty ? [empty] : []), body);
  const fail = (error) => {
    notice.hidden = !error;
    if (error) notice.replaceChildren(...errorParts(named(error, root.dataset.panel.replace("lab-", ""))));
  };
  const draw = PANELS[root.dataset.panel](body, { props, trigger, fail });
  if (empty) body.hidden = true;

  // The last payload of a stream comes twice, as its last part and as its end: drawn again it would undo what a visitor did in between.
  let latest = null;
  const update = () => {
    if (!props.value || props.value === latest) return;
    latest = props.value;
    const payload = JSON.parse(latest);
    if (payload.asked) return; // a question on its way to Python
    fail(payload.error);
    root.dataset.state = payload.error ? "error" : "drawn";
    if (empty) empty.hidden = true;
    if (payload.error) {
      draw?.failed?.(payload.error);
      return;
    }
    body.hidden = false;
    draw?.(payload);
  };
  watch("value", update);
  update();
};
window.ddpm.early.splice(0).forEach((panel) => window.ddpm.mount(...panel));
