// What the Langevin labs share: a list of readings, a table of routes, and the histogram of a frame against a law.
import { node, number, t, tex } from "../text.js";

// rows: [name, TeX, value, words]; tests read the value at full precision.
export function readings(list, rows) {
  list.replaceChildren(
    ...rows.map(([name, symbol, value, words]) =>
      node("div", {}, tex(node("dt", {}), symbol), node("dd", { dataset: { quantity: name, exact: String(value) } }, words ?? number(value))),
    ),
  );
}

// The rows of an array (R, n) that Python packed, each as plain numbers.
export function rowsOf(values) {
  const [, length] = values.shape;
  return Array.from({ length: values.shape[0] }, (_, row) => Array.from(values.subarray(row * length, (row + 1) * length)));
}

// A histogram: the expected height of every bin with what chance allows, and the heights of any frame. `counts` is (F, B).
export function histogram({ edges, counts, probability }, particles) {
  const bins = probability.length;
  const width = edges[1] - edges[0];
  const height = (count) => count / (particles * width);
  const spread = (p) => 2 * Math.sqrt(particles * p * (1 - p));
  const steps = { x: [], low: [], high: [] };
  probability.forEach((p, bin) => {
    for (const x of [edges[bin], edges[bin + 1]]) {
      steps.x.push(x);
      steps.low.push(Math.max(0, height(particles * p - spread(p))));
      steps.high.push(height(particles * p + spread(p)));
    }
  });
  return {
    edges: Array.from(edges),
    band: steps,
    heights: (frame) => Array.from(counts.subarray(frame * bins, (frame + 1) * bins), height),
    // All particles on one point would make every other frame flat: the axis ends above the law, and a bar may reach its top.
    ceiling: 1.5 * Math.max(...steps.high),
  };
}

export const words = (key, values = {}) => t(key, values).replaceAll("$", "");
