// Words that stand still: the page's head with the language switch, the opening of a section, and the line about the model.
import { announce, followTabs } from "./contents.js";
import { address } from "./link.js";
import { errorParts, known, node, number, say, t } from "./text.js";

const TABS = ["noising", "sampling", "loss"];
const LANGUAGES = { "zh-CN": "中文", en: "English" };

export function header(root) {
  const links = Object.entries(LANGUAGES).map(([tag, name]) => {
    const current = tag === window.ddpm.language;
    const button = node("button", { type: "button", lang: tag, className: "language", dataset: { language: tag } }, name);
    button.setAttribute("aria-pressed", String(current));
    button.addEventListener("click", () => {
      if (current) return;
      address(); // the settings of the last moment come along
      window.ddpm.switchTo(tag);
    });
    return button;
  });
  const choice = node("div", { className: "languages", role: "group" }, ...links);
  choice.setAttribute("aria-label", t("header.language"));
  const tools = node("div", { className: "header-tools" }, copyLink(), choice);
  root.append(node("div", {}, say("h1", "header.title"), say("p", "header.lead", {}, "lead")), tools);
  document.title = t("header.page_title");
  followTabs(TABS);
}

function copyLink() {
  const button = node("button", { type: "button", className: "small-button", title: t("header.link_info"), dataset: { copy: "link" } }, t("header.link"));
  const said = node("span", { className: "visually-hidden", role: "status" });
  button.addEventListener("click", async () => {
    const link = address();
    try {
      await navigator.clipboard.writeText(link);
      said.textContent = t("header.link_copied");
    } catch {
      // A page inside another site's frame may be kept from the clipboard: the link is shown to be copied by hand.
      window.prompt(t("header.link_by_hand"), link);
      return;
    }
    button.textContent = t("header.link_copied");
    setTimeout(() => {
      button.textContent = t("header.link");
    }, 2000);
  });
  return node("span", {}, button, said);
}

// props: key (the question), lead (two sentences that say what is to be seen)
export function section(root, { props }) {
  const heading = say("h2", `${props.section}.title`);
  heading.tabIndex = -1;
  root.append(heading, say("p", `${props.section}.lead`, {}, "lead"));
  announce(root, props.section, heading);
}

// What the page says about a model: describe(payload) writes it into an element.
export function describeModel(root) {
  return (loaded) => {
    const schedule = known(`noising.schedule.${loaded.schedule}`) ? t(`noising.schedule.${loaded.schedule}`) : loaded.schedule;
    const values = { ...loaded, schedule, millions: number(loaded.num_parameters / 1e6, 3), myriads: number(loaded.num_parameters / 1e4, 3) };
    const kind = { epsilon: "model.epsilon", v_prediction: "model.v_prediction", sample: "model.sample" }[loaded.prediction_type];
    // As it is: it repeats what a server said, which is nobody's formula.
    const note = loaded.note ? node("p", { className: "note" }, ...errorParts(loaded.note)) : "";
    root.replaceChildren(say("p", "model.line", values), say("p", kind, {}), loaded.learned_variance ? say("p", "model.learned_variance") : "", note);
  };
}
