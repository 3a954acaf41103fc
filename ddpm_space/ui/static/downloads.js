// What can be taken along of the visitor's last run: Python makes the file, the browser saves it.
import { filmed } from "./film.js";
import { node, say, t } from "./text.js";

const KINDS = ["png", "gif"];

// Let the browser save bytes as a file.
export function offer(name, bytes, mime) {
  const address = URL.createObjectURL(new Blob([bytes], { type: mime }));
  node("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

export function downloads(root, { props, trigger }) {
  const status = node("span", { className: "note", role: "status" });
  const buttons = KINDS.map((kind) => {
    const button = node("button", { type: "button", className: "small-button", dataset: { kind } }, t(`downloads.${kind}`));
    button.addEventListener("click", () => {
      buttons.forEach((one) => {
        one.disabled = true;
      });
      status.replaceChildren(say("span", "downloads.making"));
      // The time makes two equal wishes two different values.
      props.value = JSON.stringify({ asked: { kind, at: performance.now() } });
      trigger("submit");
    });
    return button;
  });
  const row = node("div", { className: "row downloads", hidden: true }, say("span", "downloads.heading", {}, "field-label"), ...buttons, status);
  root.append(row);
  const ready = () => {
    buttons.forEach((one) => {
      one.disabled = false;
    });
    status.replaceChildren();
  };
  filmed.subscribe((film) => {
    row.hidden = !film;
    ready();
  });
  const save = ({ file }) => {
    ready();
    const bytes = Uint8Array.from(atob(file.b64), (character) => character.charCodeAt(0));
    offer(file.name, bytes, file.mime);
    status.replaceChildren(say("span", "downloads.saved", { name: file.name, kilobytes: Math.ceil(bytes.length / 1000) }));
  };
  return Object.assign(save, { failed: ready });
}
