// Which model the runs of the loss tab use: said beside their controls before a run, and with its result what that run measured.
import { chosenModel, modelInfo } from "./chosen_model.js";
import { node, say, t } from "./text.js";

const PATIENCE = 10_000; // milliseconds for the other tab to come

function origin({ revision, bundled }) {
  if (revision) return t("ran.revision", { revision: revision.slice(0, 12) });
  return t(bundled ? "ran.bundled" : "ran.folder");
}

// A control without a setting: the model that the next run will use, and the way to where another is chosen. own: the name of the page's own.
export function modelInUse(own) {
  const words = node("p", { className: "model-now", role: "status" });
  const change = node("button", { type: "button", className: "small-button", dataset: { change: "model" } }, t("ran.change"));
  change.addEventListener("click", toChooser);
  const show = () => {
    // What Python said belongs to the choice it was asked for; both come together.
    const source = modelInfo.value?.source ?? (chosenModel.value || own);
    words.replaceChildren(say("span", "ran.next", { source }));
    words.dataset.model = source;
  };
  chosenModel.subscribe(show);
  modelInfo.subscribe(show);
  return { element: node("div", { className: "control model-in-use" }, say("span", "ran.label", {}, "field-label"), words, change) };
}

function toChooser() {
  const tab = [...document.querySelectorAll("[role=tab]")].find((one) => one.textContent.trim() === t("tab.sampling"));
  tab?.click();
  const begin = performance.now();
  const wait = () => {
    const list = document.getElementById("model-list");
    if (list?.getClientRects().length) {
      list.scrollIntoView({ block: "center" });
      list.focus();
    } else if (performance.now() - begin < PATIENCE) requestAnimationFrame(wait);
  };
  wait();
}

// {element, show(payload.model)}: name, revision and prediction type of the model that a result belongs to, and whether another was chosen since.
export function ranWith() {
  const line = node("span");
  const since = say("span", "ran.other", {}, "warning");
  const element = node("p", { className: "note ran-with" }, line, " ", since);
  let ran = null;
  const compare = () => {
    since.hidden = !ran || ran.choice === chosenModel.value;
  };
  chosenModel.subscribe(compare);
  return {
    element,
    show: (model) => {
      ran = model;
      const values = { source: model.source, origin: origin(model), prediction: t(`ran.predicts.${model.prediction_type}`) };
      line.replaceChildren(say("span", `ran.with_${model.network}`, values), ...(model.learned_variance && model.network === "model" ? [" ", say("span", "model.learned_variance")] : []));
      Object.assign(element.dataset, { model: model.source, revision: model.revision ?? "", prediction: model.prediction_type, network: model.network });
      compare();
    },
  };
}
