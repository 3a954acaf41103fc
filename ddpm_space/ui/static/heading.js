// Words that stand still: the page's head with the language switch, the opening of a section, and the line about the model.
import { errorText, known, node, number, say, t } from "./text.js";

const LANGUAGES = { "zh-CN": "中文", en: "English" };

export function header(root) {
  const links = Object.entries(LANGUAGES).map(([tag, name]) => {
    const current = tag === window.ddpm.language;
    const button = node("button", { type: "button", lang: tag, className: "language", dataset: { language: tag } }, name);
    button.setAttribute("aria-pressed", String(current));
    button.addEventListener("click", () => !current && window.ddpm.switchTo(tag));
    return button;
  });
  const choice = node("div", { className: "languages", role: "group" }, ...links);
  choice.setAttribute("aria-label", t("header.language"));
  root.append(node("div", {}, say("h1", "header.title"), say("p", "header.lead", {}, "lead")), choice);
  document.title = t("header.page_title");
}

// props: key (the question), lead (two sentences that say what is to be seen)
export function section(root, { props }) {
  root.append(say("h2", `${props.section}.title`), say("p", `${props.section}.lead`, {}, "lead"));
}

export function model(root) {
  return (loaded) => {
    const schedule = known(`schedule.${loaded.schedule}`) ? t(`schedule.${loaded.schedule}`) : loaded.schedule;
    const values = { ...loaded, schedule, millions: number(loaded.num_parameters / 1e6, 3), myriads: number(loaded.num_parameters / 1e4, 3) };
    const kind = { epsilon: "model.epsilon", v_prediction: "model.v_prediction", sample: "model.sample" }[loaded.prediction_type];
    // As it is: it repeats what a server said, which is nobody's formula.
    const note = loaded.note ? node("p", { className: "note" }, errorText(loaded.note)) : "";
    root.replaceChildren(say("p", "model.line", values), say("p", kind, {}), loaded.learned_variance ? say("p", "model.learned_variance") : "", note);
  };
}
