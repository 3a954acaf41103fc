// Line charts as SVG: labelled axes, a marked place, and a reading of every line where the pointer or the arrow keys are.
import { axis } from "./axis.js";
import { node, number, rich } from "./text.js";

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 10, right: 14, bottom: 40, left: 64 };

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const tickText = (value, log) => {
  if (!log) return number(Number(value.toPrecision(6)), 3).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
  return number(value, 3).replace(/\.0*$/, "").replace(/(\.\d*?)0+( |$)/, "$1$2").replace(/^1(\.0*)? × /, "");
};

// spec: {title, x: {min, max, label, log}, y: {...}, lines: [{name, role, x, y, dashed, points, error}], bars, areas, marker, height, onPick, summary}
// A line's x may be left out: then x is the index; without a name it is no entry of the legend and has no reading: a handle, a mark. bars: [{name, role, edges, heights}], a histogram; areas: [{name, role, x, low, high}], a band.
// onPick(x) is told where the pointer is pressed or dragged. x.exact: a reading is shown as it is, not rounded to a whole number. Returns draw(spec).
export function chart(root) {
  const title = node("h3", { className: "chart-title" });
  const legend = node("ul", { className: "legend" });
  const canvas = node("div", { className: "chart-canvas" });
  root.classList.add("chart");
  root.append(title, legend, canvas);
  let spec = null;
  let reading = null;
  let titled = null;

  const render = () => {
    if (!spec || !canvas.clientWidth) return;
    // A chart beside something that plays is drawn many times with the same title, whose formulas take longer than all else.
    if (spec.title !== titled) rich(title, spec.title);
    titled = spec.title;
    legend.replaceChildren(...legendItems(spec, reading ?? spec.marker));
    canvas.replaceChildren(plot(spec, canvas.clientWidth, reading));
    listen(canvas.firstChild);
  };

  const readAt = (value) => {
    reading = value;
    render();
  };

  const listen = (picture) => {
    const { min, max } = spec.x;
    const xAxis = axis(spec.x, MARGIN.left, canvas.clientWidth - MARGIN.right);
    const under = (event) => Math.min(max, Math.max(min, xAxis.invert(event.clientX - canvas.getBoundingClientRect().left)));
    picture.addEventListener("pointermove", (event) => readAt(under(event)));
    picture.addEventListener("pointerleave", () => readAt(null));
    if (!spec.onPick) return;
    picture.addEventListener("pointerdown", (event) => {
      // The drawing is replaced while it is dragged on: the whole window follows the pointer.
      const drag = (moved) => spec.onPick(under({ clientX: moved.clientX }));
      const drop = () => window.removeEventListener("pointermove", drag);
      window.addEventListener("pointermove", drag);
      window.addEventListener("pointerup", drop, { once: true });
      window.addEventListener("pointercancel", drop, { once: true });
      drag(event);
    });
  };

  canvas.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!direction || !spec) return;
    event.preventDefault();
    const { min, max } = spec.x;
    const start = reading ?? spec.marker ?? (min + max) / 2;
    // A hundredth of the axis, whatever its scale; where x counts, at least one.
    const xAxis = axis(spec.x, 0, 1);
    const next = xAxis.invert(xAxis.scale(start) + direction / 100);
    const least = start + direction;
    readAt(Math.min(max, Math.max(min, spec.x.exact || Math.abs(next - start) > 1 ? next : least)));
    canvas.firstChild.focus();
  });
  canvas.addEventListener("focusout", () => reading !== null && !canvas.matches(":hover") && readAt(null));

  new ResizeObserver(render).observe(canvas);
  return (next) => {
    spec = next;
    render();
  };
}

function nearest(line, value) {
  if (!line.x) return Math.min(line.y.length - 1, Math.max(0, Math.round(value)));
  let best = 0;
  for (let index = 1; index < line.x.length; index += 1) if (Math.abs(line.x[index] - value) < Math.abs(line.x[best] - value)) best = index;
  return best;
}

const named = (spec) => spec.lines.filter((line) => line.name);

function legendItems(spec, place) {
  const filled = [...(spec.bars ?? []), ...(spec.areas ?? [])].filter((one) => one.name);
  const blocks = filled.map((one) => node("li", {}, node("span", { className: `legend-mark block role-${one.role}`, ariaHidden: "true" }), rich(node("span"), one.name)));
  const lines = named(spec).map((line) => {
    const mark = node("span", { className: `legend-mark role-${line.role}${line.dashed ? " dashed" : ""}`, ariaHidden: "true" });
    const value = place === null || place === undefined || !line.y.length ? null : node("span", { className: "legend-value" }, number(line.y[nearest(line, place)], 3));
    return node("li", {}, mark, rich(node("span"), line.name), value);
  });
  return [...blocks, ...lines];
}

function plot(spec, width, reading) {
  const height = spec.height ?? 210;
  const xAxis = axis(spec.x, MARGIN.left, width - MARGIN.right);
  const yAxis = axis(spec.y, height - MARGIN.bottom, MARGIN.top);
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", tabindex: 0, "aria-label": spec.summary ?? spec.title.replaceAll("$", "") });
  for (const value of yAxis.ticks(4)) {
    const y = yAxis.scale(value);
    picture.append(svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y, y2: y }));
    picture.append(svg("text", { class: "tick", x: MARGIN.left - 6, y: y + 4, "text-anchor": "end" }, tickText(value, spec.y.log)));
  }
  for (const value of xAxis.ticks(width < 420 ? 4 : 5)) {
    picture.append(svg("text", { class: "tick", x: xAxis.scale(value), y: height - MARGIN.bottom + 16, "text-anchor": "middle" }, tickText(value, spec.x.log)));
  }
  picture.append(svg("text", { class: "axis-name", x: (MARGIN.left + width - MARGIN.right) / 2, y: height - 4, "text-anchor": "middle" }, spec.x.label));
  const middle = (MARGIN.top + height - MARGIN.bottom) / 2;
  picture.append(svg("text", { class: "axis-name", x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, spec.y.label));
  for (const area of spec.areas ?? []) {
    const edge = (values, indices) => indices.map((index) => `${xAxis.scale(area.x[index]).toFixed(1)},${yAxis.scale(values[index]).toFixed(1)}`);
    const indices = [...area.x.keys()];
    picture.append(svg("polygon", { class: `area role-${area.role}`, points: [...edge(area.high, indices), ...edge(area.low, indices.reverse())].join(" ") }));
  }
  for (const bars of spec.bars ?? []) {
    const floor = yAxis.scale(Math.max(spec.y.min, spec.y.log ? spec.y.min : 0));
    for (let index = 0; index < bars.heights.length; index += 1) {
      const [from, to, top] = [xAxis.scale(bars.edges[index]), xAxis.scale(bars.edges[index + 1]), yAxis.scale(bars.heights[index])];
      picture.append(svg("rect", { class: `bar role-${bars.role}`, x: from, width: Math.max(0.5, to - from - 0.5), y: Math.min(top, floor), height: Math.abs(floor - top) }));
    }
  }
  const at = (line, index) => [xAxis.scale(line.x ? line.x[index] : index), yAxis.scale(line.y[index])];
  // What leaves the axes is not drawn over their labels; dots at the edge stay whole.
  const frame = svg("svg", { x: MARGIN.left, y: MARGIN.top, width: Math.max(0, width - MARGIN.left - MARGIN.right), height: height - MARGIN.top - MARGIN.bottom, overflow: "hidden" });
  const moved = svg("g", { transform: `translate(${-MARGIN.left} ${-MARGIN.top})` });
  frame.append(moved);
  picture.append(frame);
  const inside = (y) => y > MARGIN.top - 1 && y < height - MARGIN.bottom + 1;
  spec.lines.forEach((line) => (line.points ? picture : moved).append(...drawLine(line, at, yAxis, inside)));
  for (const [place, name] of [[spec.marker, "marker"], [reading, "reading"]]) {
    if (place === null || place === undefined) continue;
    const x = xAxis.scale(place);
    picture.append(svg("line", { class: name, x1: x, x2: x, y1: MARGIN.top, y2: height - MARGIN.bottom }));
    for (const line of named(spec)) {
      if (!line.y.length) continue;
      const [cx, cy] = at(line, nearest(line, place));
      if (inside(cy)) picture.append(svg("circle", { class: `dot role-${line.role}`, cx, cy, r: name === "marker" ? 4.5 : 3 }));
    }
  }
  if (reading !== null) {
    const x = xAxis.scale(reading);
    const inner = x > width - 110 ? { x: x - 6, "text-anchor": "end" } : { x: x + 6, "text-anchor": "start" };
    picture.append(svg("text", { class: "reading-text", y: MARGIN.top + 10, ...inner }, `${spec.x.symbol ?? "t"} = ${spec.x.exact ? number(reading, 3) : number(Math.round(reading), 4).replace(/\.0*$/, "")}`));
  }
  return picture;
}

function drawLine(line, at, yAxis, inside) {
  const marks = [];
  const count = line.y.length;
  if (!line.points) {
    const path = Array.from({ length: count }, (_, index) => at(line, index).map((place) => place.toFixed(1)).join(",")).join(" ");
    marks.push(svg("polyline", { class: `line role-${line.role}${line.dashed ? " dashed" : ""}`, points: path }));
    return marks;
  }
  for (let index = 0; index < count; index += 1) {
    const [x, y] = at(line, index);
    if (!inside(y)) continue;
    if (line.error) {
      const [top, bottom] = [1, -1].map((sign) => yAxis.scale(line.y[index] + sign * line.error[index]));
      marks.push(svg("line", { class: `error-bar role-${line.role}`, x1: x, x2: x, y1: top, y2: bottom }));
    }
    marks.push(svg("circle", { class: `dot role-${line.role}`, cx: x, cy: y, r: 3.5 }));
  }
  return marks;
}
