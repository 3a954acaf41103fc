// The picture as the model gets it: its size and its channels, nothing else.
import { decode, paintSheet } from "./picture.js";
import { node, say, t } from "./text.js";

export function seen(root) {
  const canvas = node("canvas", { role: "img" });
  canvas.setAttribute("aria-label", t("seen.label"));
  const words = node("figcaption");
  root.append(node("figure", { className: "tile role-x0" }, canvas, words));
  return ({ picture, size, outside }) => {
    const bytes = decode(picture);
    paintSheet(canvas, bytes, bytes.shape, 1);
    words.replaceChildren(...[say("span", "seen.words", { size }), outside ? say("span", "seen.outside", {}, "warning") : null].filter(Boolean));
  };
}
