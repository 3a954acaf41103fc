// The data of the plane: the controls that choose them, write them or draw them. Two labs show the same data: what is chosen in one holds in the other.
import { choice, slider, words } from "../controls.js";
import { setting } from "../link.js";
import { node, number, rich, say, t } from "../text.js";

const WORLDS = ["roll", "moons", "rings", "bumps", "letters", "drawn"];
const REACH = 3;
const MOST = 300;
const APART = 0.07; // between two points of one stroke
const KEY_STEP = 0.12;

// A point is two numbers of two digits to the base 36, so that a drawing fits into a link.
const PLACES = 36 ** 2 - 1;
const write = (value) => Math.round(((value + REACH) / (2 * REACH)) * PLACES).toString(36).padStart(2, "0");
const read = (text) => (Number.parseInt(text, 36) / PLACES) * 2 * REACH - REACH;
const toText = (points) => points.map(([x, y]) => write(x) + write(y)).join("");
function fromText(text) {
  if (!/^([0-9a-z]{4})*$/.test(text) || text.length > 4 * MOST) return undefined;
  return Array.from({ length: text.length / 4 }, (_, index) => [0, 2].map((place) => read(text.slice(4 * index + place, 4 * index + place + 2))));
}

// A heart, until something else is drawn.
const HEART = Array.from({ length: 90 }, (_, index) => {
  const angle = (index / 90) * 2 * Math.PI;
  const up = 13 * Math.cos(angle) - 5 * Math.cos(2 * angle) - 2 * Math.cos(3 * angle) - Math.cos(4 * angle);
  return [(16 * Math.sin(angle) ** 3) / 9, (up + 2.5) / 9];
});

const first = {};

// The same control in another lab: each follows the other.
function shared(name, control) {
  const other = first[name];
  if (!other) {
    first[name] = control.setting;
    return control;
  }
  control.setting.subscribe((value) => other.set(value));
  other.subscribe((value) => control.setting.set(value));
  return control;
}

export function worldControls() {
  const controls = {
    world: shared("world", choice("plane.world", WORLDS, "roll")),
    std: shared("std", slider("plane.std", { min: 0.02, max: 0.4, step: 0.01, initial: 0.1, shown: (value) => number(value, 2) })),
    letters: shared("letters", words("plane.letters", "DDPM")),
    drawn: shared("drawn", drawing()),
  };
  for (const input of controls.letters.element.querySelectorAll("input")) input.maxLength = 6;
  controls.world.setting.subscribe((world) => {
    controls.std.element.hidden = world !== "bumps";
    controls.letters.element.hidden = world !== "letters";
    controls.drawn.element.hidden = world !== "drawn";
    controls.drawn.paint();
  });
  return controls;
}

// What is asked: a drawing only where it is the data.
export const askedWorld = (chosen) => ({ ...chosen, drawn: chosen.world === "drawn" ? chosen.drawn : [] });

function drawing() {
  const points = setting("plane.drawn", HEART, fromText, toText);
  const canvas = node("canvas", { role: "img", tabIndex: 0, className: "drawing-board" });
  canvas.setAttribute("aria-label", t("plane.drawing"));
  const count = node("span", { className: "note", role: "status" });
  const clear = node("button", { type: "button", className: "small-button", dataset: { clear: "drawn" } }, t("plane.clear"));
  const label = rich(node("div", { className: "field-label" }), t("plane.drawn"));
  const element = node("div", { className: "control", dataset: { control: "plane.drawn" } }, label, canvas, node("div", { className: "row" }, clear, count));
  let stroke = null; // the points so far of a drawing that the pen is still at
  let cross = null;

  const paint = () => {
    const side = canvas.clientWidth;
    if (!side) return;
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(side * ratio);
    canvas.height = canvas.width;
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(canvas);
    const place = ([x, y]) => [((x + REACH) / (2 * REACH)) * side, ((REACH - y) / (2 * REACH)) * side];
    context.fillStyle = style.getPropertyValue("--x0");
    for (const point of stroke ?? points.value) {
      const [x, y] = place(point);
      context.fillRect(x - 1.5, y - 1.5, 3, 3);
    }
    if (!cross) return;
    context.strokeStyle = style.getPropertyValue("--ink");
    const [x, y] = place(cross);
    context.beginPath();
    context.moveTo(x - 7, y);
    context.lineTo(x + 7, y);
    context.moveTo(x, y - 7);
    context.lineTo(x, y + 7);
    context.stroke();
  };

  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const inside = (share) => Math.max(-1, Math.min(1, 2 * share - 1)) * REACH;
    return [inside((event.clientX - box.left) / box.width), -inside((event.clientY - box.top) / box.height)];
  };
  const add = (point) => {
    const last = stroke.at(-1);
    if (stroke.length >= MOST || (last && Math.hypot(point[0] - last[0], point[1] - last[1]) < APART)) return;
    stroke.push(point);
    paint();
  };
  const finish = () => {
    if (!stroke) return;
    const drawn = stroke;
    stroke = null;
    points.set(drawn);
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    stroke = [...points.value];
    add(under(event));
  });
  canvas.addEventListener("pointermove", (event) => stroke && add(under(event)));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, finish);

  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!move && event.key !== " ") return;
    event.preventDefault();
    cross ??= [0, 0];
    if (move) cross = cross.map((value, axis) => Math.max(-REACH, Math.min(REACH, value + KEY_STEP * move[axis])));
    else if (points.value.length < MOST) points.set([...points.value, cross]);
    paint();
  });
  canvas.addEventListener("blur", () => {
    cross = null;
    paint();
  });
  clear.addEventListener("click", () => points.set([]));
  points.subscribe((now) => {
    count.replaceChildren(say("span", "plane.count", { count: now.length, most: MOST }));
    paint();
  });
  new ResizeObserver(paint).observe(canvas.parentElement);
  new MutationObserver(paint).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  return { element, setting: points, paint };
}
