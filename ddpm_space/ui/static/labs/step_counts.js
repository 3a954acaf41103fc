// The same picture in few steps and in many: one row for each number of steps, with its time and its distance from the finest row.
import { choice, seed, slider, toggle } from "../controls.js";
import { decode, paintSheet } from "../picture.js";
import { runLab } from "../run_lab.js";
import { node, number, say, t } from "../text.js";

export function stepCounts(root, parts) {
  const counts = parts.props.counts;
  const rows = Object.fromEntries(counts.map((count) => [`s${count}`, toggle(`step_counts.s${count}`, count !== 1000)]));
  const heading = say("span", "step_counts.rows", {}, "field-label");
  return runLab(root, parts, {
    name: "step_counts",
    stopKey: "sampling.stop",
    controls: {
      heading,
      ...rows,
      shared: choice("step_counts.shared", ["path", "start"], "path"),
      images: slider("step_counts.images", { min: 1, max: parts.props.most, step: 1, initial: 4, shown: String }),
      clip: toggle("step_counts.clip", true),
      seed: seed("step_counts.seed"),
    },
    build,
    cards: ["N7.q_posterior", "N7.beta_tilde", "N8.ancestral_step"],
  });
}

function build(stage) {
  const status = node("p", { className: "status", role: "status" });
  const notes = node("div", { className: "note" });
  const list = node("div", { className: "count-rows" });
  stage.append(status, notes, list);

  return (payload, phase) => {
    const done = payload.rows.map((row) => row.steps).join(", ");
    const values = { rows: done || "–", steps: payload.now?.steps, step: (payload.now?.index ?? 0) + 1 };
    status.replaceChildren(say("span", payload.now && phase !== "stopped" ? "step_counts.running" : `step_counts.${phase === "running" ? "between" : phase}`, values));
    const left = payload.left_out.length ? say("p", "step_counts.left_out", { counts: payload.left_out.join(", "), T: payload.T }, "warning") : null;
    const limit = payload.limit ? say("p", "film.limit", { limit: payload.limit }, "warning") : null;
    notes.replaceChildren(...[say("p", `step_counts.about_${payload.shared}`), left, limit].filter(Boolean));
    const finest = payload.rows.at(-1)?.steps;
    const rows = payload.rows.map((row) => resultRow(row, finest));
    list.replaceChildren(...rows, ...(payload.now && phase !== "stopped" ? [runningRow(payload.now)] : []));
  };
}

function resultRow(row, finest) {
  const words = node("div", { className: "count-words" });
  words.append(say("p", "step_counts.steps", { steps: row.steps }, "verdict"));
  words.append(say("p", "step_counts.cost", { calls: row.calls, seconds: row.seconds.toFixed(1) }, "note"));
  const distance = row.steps === finest ? say("p", "step_counts.finest", {}, "note") : say("p", "step_counts.apart", { rms: number(row.rms, 3), largest: number(row.max, 3), finest }, "note");
  Object.assign(distance.dataset, { quantity: `rms_${row.steps}`, exact: String(row.rms) });
  words.append(distance);
  return node("div", { className: "count-row", dataset: { steps: String(row.steps) } }, words, strip(row.pictures, t("step_counts.picture", { steps: row.steps }), "x0"));
}

function runningRow(now) {
  const words = node("div", { className: "count-words" }, say("p", "step_counts.steps", { steps: now.steps }, "verdict"), say("p", "step_counts.guess", { t: now.t }, "note"));
  return node("div", { className: "count-row" }, words, strip(now.pictures, t("step_counts.guess", { t: now.t }).replaceAll("$", ""), "p"));
}

export function strip(pictures, label, role) {
  const canvas = node("canvas", { role: "img" });
  canvas.setAttribute("aria-label", label);
  const bytes = decode(pictures);
  paintSheet(canvas, bytes, bytes.shape, bytes.shape[0]);
  const holder = node("div", { className: `count-strip role-${role}` }, canvas);
  holder.style.setProperty("--count", bytes.shape[0]);
  return holder;
}
