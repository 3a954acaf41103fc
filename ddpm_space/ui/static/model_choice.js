// Which model draws: the page's own, a bundled one, or one that the visitor names by its Hub id. It is asked for, described, and only then chosen.
import { whenNear } from "./card.js";
import { chosenModel, modelInfo } from "./chosen_model.js";
import { describeModel } from "./heading.js";
import { errorParts, node, say, t } from "./text.js";

const HUB = "hub";
const BUNDLED = "bundled:";

function spoken(source) {
  return source.startsWith(BUNDLED) ? t(`models.bundled.${source.slice(BUNDLED.length)}`) : source;
}

export function modelChoice(root, { props, trigger, fail }) {
  const known = [["", props.own], ...props.bundled.map((name) => [name, name])].map(([name, source]) => [name, spoken(source)]);
  const options = known.map(([name, shown]) => node("option", { value: name }, shown));
  const list = node("select", { id: "model-list", className: "list" }, ...options, ...(props.hub ? [node("option", { value: HUB }, t("models.hub"))] : []));
  const input = node("input", { type: "text", id: "model-name", className: "words", spellcheck: false, maxLength: 200, placeholder: "user/model@revision" });
  const load = node("button", { type: "button", className: "small-button", dataset: { load: "" } }, t("models.load"));
  const limits = props.hub ? say("p", "models.limits", { megabytes: props.megabytes, side: props.side }, "note") : say("p", "models.off", {}, "note");
  const named = node("div", { className: "control model-named" }, say("label", "models.name", {}, "field-label"), node("div", { className: "row" }, input, load), limits);
  named.querySelector("label").htmlFor = input.id;
  const heading = say("label", "models.label", {}, "field-label");
  heading.htmlFor = list.id;
  const waiting = say("p", "model.loading", {}, "waiting-note");
  waiting.setAttribute("role", "status");
  const failure = node("p", { className: "error-note", role: "alert", hidden: true });
  const about = node("div", { className: "model-about" });
  const chooser = node("div", { className: "control" }, heading, list, ...(props.hub ? [] : [limits]));
  root.append(node("div", { className: "model-choice" }, node("div", {}, chooser, named), node("div", {}, waiting, failure, about)));
  const describe = describeModel(about);
  let run = 0;
  let asked = "";

  const ask = (name) => {
    run += 1;
    asked = name;
    waiting.hidden = false;
    props.value = JSON.stringify({ asked: { model: name, run } });
    trigger("submit");
  };
  const show = () => {
    const listed = known.some(([name]) => name === chosenModel.value);
    list.value = listed ? chosenModel.value : HUB;
    if (!listed) input.value = chosenModel.value;
    named.hidden = list.value !== HUB;
  };
  const choose = (name) => {
    failure.hidden = true;
    ask(name);
  };
  list.addEventListener("change", () => {
    named.hidden = list.value !== HUB;
    if (list.value === HUB) input.focus();
    else choose(list.value);
  });
  load.addEventListener("click", () => choose(input.value.trim()));
  input.addEventListener("keydown", (event) => event.key === "Enter" && choose(input.value.trim()));
  named.hidden = true;
  show();
  whenNear(root, () => ask(chosenModel.value));

  const take = (payload) => {
    if (payload.run !== run) return;
    waiting.hidden = true;
    chosenModel.set(asked);
    modelInfo.set(payload);
    describe(payload);
    if (list.value !== HUB || asked === "") show();
    root.dataset.model = payload.source;
  };
  return Object.assign(take, {
    failed: (error) => {
      waiting.hidden = true;
      // What is named by the address and cannot be had is given up for the page's own, and the reason stays.
      if (asked === "" || asked !== chosenModel.value) return;
      failure.replaceChildren(...errorParts(error));
      failure.hidden = false;
      fail(null);
      chosenModel.set("");
      ask("");
    },
  });
}
