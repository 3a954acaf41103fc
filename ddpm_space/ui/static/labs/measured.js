// What the labs on Gaussians and likelihood share: a list of readings, a table of numbers by two routes, and what a drag takes hold of.
import { node, say, t, tex } from "../text.js";

// rows: [name, TeX, value, shown]; tests read the value at full precision. Empty: nothing is there to be read.
export function readings(list, rows) {
  list.className = "numbers roomy";
  list.replaceChildren(
    ...rows.map(([name, symbol, value, shown]) =>
      node("div", {}, tex(node("dt", {}), symbol), node("dd", { dataset: { quantity: name, exact: String(value) } }, shown)),
    ),
  );
}

// A table with heads by text ids, the first over the names of the rows. rows: {key, mark, cells: [{shown, value, name}]}; `mark` is TeX or null.
export function routesTable(holder, heads, rows, values = {}) {
  const words = heads.map((key) => t(key, values).replaceAll("$", ""));
  const top = heads.map((key) => {
    const head = say("th", key, values);
    head.setAttribute("scope", "col");
    return head;
  });
  const body = rows.map(({ key, mark, cells, role }) => {
    const name = node("th", { scope: "row", className: role ? `measured-name role-${role}` : "" }, say("span", key, values), mark ? tex(node("span", { className: "formula" }), mark) : null);
    const shown = cells.map((cell, index) =>
      node("td", { dataset: { label: words[index + 1], ...(cell.name ? { quantity: cell.name, exact: String(cell.value) } : {}) } }, cell.shown),
    );
    return node("tr", {}, name, ...shown);
  });
  holder.className = "table-holder";
  holder.replaceChildren(node("table", { className: "data" }, node("thead", {}, node("tr", {}, ...top)), node("tbody", {}, ...body)));
}

// Where a lab's numbers and words go: below its charts, and on a narrow screen below the controls too, which stay near the picture they change.
export function below(stage) {
  const place = node("div", { className: "lab-later" });
  stage.parentNode.append(place);
  return place;
}

// A drag on a chart: choose(x) tells, where the pointer goes down, what it takes hold of, as a function that is told every place until it is let go.
export function dragging(choose) {
  let held = null;
  const drop = () => {
    held = null;
  };
  window.addEventListener("pointerup", drop);
  window.addEventListener("pointercancel", drop);
  return (x) => {
    held ??= choose(x);
    held(x);
  };
}

// Sets a slider's setting as a hand would: inside its range, to two decimals.
export const mover = (control, min, max) => (value) => control.setting.set(Math.min(max, Math.max(min, Number(value.toFixed(2)))));

// A bell under the hand: near its middle the mean is taken, out on its flank the standard deviation.
export function bellDrag(mean, std, ranges) {
  const [moveMean, moveStd] = [mover(mean, ...ranges.mean), mover(std, ...ranges.std)];
  return dragging((start) => {
    const centre = mean.setting.value;
    return Math.abs(start - centre) < 0.6 * std.setting.value ? moveMean : (x) => moveStd(Math.abs(x - centre));
  });
}

// The places where a bell is taken hold of, as marks on a chart: its top, and one standard deviation to each side.
export function handles(mean, std, top, flank, role) {
  return { role, points: true, x: [mean - std, mean, mean + std], y: [flank, top, flank] };
}
