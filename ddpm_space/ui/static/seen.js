// The picture, or the pictures, as the model gets them: size and channels, nothing else.
import { decode, paintSheet } from "./picture.js";
import { node, say, t } from "./text.js";

const COLUMNS = 5;

export function seen() {
  const canvas = node("canvas", { role: "img" });
  canvas.setAttribute("aria-label", t("seen.label"));
  const words = node("figcaption");
  const element = node("figure", { className: "tile seen role-x0" }, canvas, words);
  const show = ({ pictures, size, outside }) => {
    const bytes = decode(pictures);
    const count = bytes.shape[0];
    element.classList.toggle("several", count > 1);
    paintSheet(canvas, bytes, bytes.shape, Math.min(count, COLUMNS));
    const line = say("span", count > 1 ? "seen.several" : "seen.words", { size, count });
    words.replaceChildren(...[line, outside ? say("span", "seen.outside", {}, "warning") : null].filter(Boolean));
  };
  return { element, show };
}
