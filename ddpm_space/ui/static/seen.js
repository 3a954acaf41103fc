// The picture, or the pictures, as the model gets them: its size, its channels, and whether that is what the model knows.
import { decode, paintSheet } from "./picture.js";
import { node, say, t } from "./text.js";

const COLUMNS = 5;

// Said where a picture is not of the model's world, or where nobody can tell; null where it is.
export function worldNote(kind) {
  if (kind === "inside") return null;
  return say("span", `seen.${kind}`, {}, kind === "unknown" ? "note" : "warning");
}

export function seen() {
  const canvas = node("canvas", { role: "img" });
  canvas.setAttribute("aria-label", t("seen.label"));
  const words = node("figcaption");
  const element = node("figure", { className: "tile seen role-x0" }, canvas, words);
  const show = ({ pictures, size, gray, kind }) => {
    const bytes = decode(pictures);
    const count = bytes.shape[0];
    element.classList.toggle("several", count > 1);
    paintSheet(canvas, bytes, bytes.shape, Math.min(count, COLUMNS));
    const line = say("span", count > 1 ? "seen.several" : "seen.words", { size, count, colour: t(gray ? "seen.gray" : "seen.rgb") });
    words.replaceChildren(...[line, worldNote(kind)].filter(Boolean));
  };
  return { element, show };
}
