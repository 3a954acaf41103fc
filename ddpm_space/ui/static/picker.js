// A row of example pictures, one of which is chosen; the choice is the panel's value as Python sees it.
import { node, say, t } from "./text.js";

export function picker(root, { props, trigger, fail }) {
  const group = node("div", { className: "thumbs", role: "radiogroup" });
  group.setAttribute("aria-label", t("picker.label"));
  const buttons = props.examples.map(({ id, picture, key, values }) => {
    const button = node("button", { type: "button", className: "thumb", role: "radio", dataset: { example: id } }, node("img", { src: picture, alt: "" }));
    button.setAttribute("aria-label", t(key, values));
    button.title = t(key, values);
    button.addEventListener("click", () => choose(id));
    return button;
  });
  group.append(...buttons);
  root.append(say("span", "picker.label", {}, "field-label"), group);

  const mark = (chosen) =>
    buttons.forEach((button, index) => {
      const checked = button.dataset.example === chosen;
      button.setAttribute("aria-checked", String(checked));
      button.tabIndex = checked || (!chosen && index === 0) ? 0 : -1;
    });

  const choose = (id) => {
    fail(null);
    mark(id);
    props.value = JSON.stringify({ example: id });
    trigger("select", { example: id });
  };

  group.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    const next = buttons[(buttons.indexOf(document.activeElement) + direction + buttons.length) % buttons.length];
    next.focus();
    choose(next.dataset.example);
  });

  // A file that Gradio would refuse in its own words is refused here in the visitor's, before it is sent.
  root.closest(".column")?.addEventListener(
    "change",
    (event) => {
      const file = event.target.files?.[0];
      if (!file) return;
      const tooLarge = file.size > props.max_megabytes * 1e6;
      fail(tooLarge ? { key: "error.file_size", values: { name: file.name, megabytes: Math.ceil(file.size / 1e6), limit: props.max_megabytes } } : null);
      if (!tooLarge) return;
      event.stopImmediatePropagation();
      event.target.value = "";
    },
    true,
  );

  return ({ example }) => mark(example);
}
