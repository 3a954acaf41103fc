// Threads between two axes: every eps below hangs on its x = mu + sigma eps above, on the scale of the chart over it.
import { t } from "../text.js";

const SVG = "http://www.w3.org/2000/svg";
const [LEFT, RIGHT, TOP, BOTTOM, HEIGHT] = [64, 14, 14, 92, 106];

function svg(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Returns set({eps, mu, sigma, reach}); `chosen` is the thread that is drawn in full.
export function threads(root, { chosen = 0 } = {}) {
  const picture = svg("svg", { height: HEIGHT, role: "img" });
  picture.setAttribute("aria-label", t("gaussian.threads"));
  root.classList.add("threads");
  root.append(picture);
  let now = null;
  let parts = [];

  const build = (count) => {
    parts = Array.from({ length: count }, (_, index) => ({
      line: svg("line", { class: index === chosen ? "thread chosen" : "thread" }),
      from: svg("circle", { class: "role-eps", r: index === chosen ? 5 : 3 }),
      to: svg("circle", { class: "role-xt", r: index === chosen ? 5 : 3 }),
    }));
    const axes = [TOP, BOTTOM].map((y) => svg("line", { class: "thread-axis", x1: LEFT, y1: y, y2: y }));
    const names = [
      ["x", TOP, "role-xt"],
      ["ε", BOTTOM, "role-eps"],
    ].map(([name, y, role]) => {
      const text = svg("text", { class: role, x: LEFT - 14, y: y + 5, "text-anchor": "end" });
      text.textContent = name;
      return text;
    });
    picture.replaceChildren(...axes, ...names, ...parts.map((part) => part.line), ...parts.flatMap((part) => [part.from, part.to]));
  };

  const draw = () => {
    const width = root.clientWidth;
    if (!now || !width) return;
    const { eps, mu, sigma, reach } = now;
    if (parts.length !== eps.length) build(eps.length);
    picture.setAttribute("width", width);
    picture.querySelectorAll(".thread-axis").forEach((line) => line.setAttribute("x2", width - RIGHT));
    const place = (value) => LEFT + ((value + reach) / (2 * reach)) * (width - LEFT - RIGHT);
    parts.forEach(({ line, from, to }, index) => {
      const [below, above] = [place(eps[index]), place(mu + sigma * eps[index])];
      const attributes = [
        [line, { x1: below, y1: BOTTOM, x2: above, y2: TOP }],
        [from, { cx: below, cy: BOTTOM }],
        [to, { cx: above, cy: TOP }],
      ];
      for (const [part, values] of attributes) for (const [name, value] of Object.entries(values)) part.setAttribute(name, value.toFixed(1));
    });
  };
  new ResizeObserver(draw).observe(root);
  return (next) => {
    now = next;
    draw();
  };
}
