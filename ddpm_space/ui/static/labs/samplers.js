// One x_T through several samplers: a row for each, with its time; the guess of the row that is being computed is shown as it changes.
import { choice, seed, slider, toggle } from "../controls.js";
import { runLab } from "../run_lab.js";
import { node, say, t } from "../text.js";
import { strip } from "./step_counts.js";

export function samplers(root, parts) {
  const { offered, steps, most } = parts.props;
  const rows = Object.fromEntries(offered.map((name) => [name, toggle(`samplers.${name}`, name !== "analytic")]));
  return runLab(root, parts, {
    name: "samplers",
    stopKey: "sampling.stop",
    controls: {
      heading: say("span", "samplers.rows", {}, "field-label"),
      ...rows,
      whole: toggle("samplers.whole", false),
      steps: choice("samplers.steps", steps, "20"),
      images: slider("samplers.images", { min: 1, max: most, step: 1, initial: 4, shown: String }),
      seed: seed("samplers.seed"),
    },
    build,
    cards: ["N8.ancestral_step"],
  });
}

function build(stage) {
  const status = node("p", { className: "status", role: "status" });
  const notes = node("div", { className: "note" });
  const list = node("div", { className: "count-rows" });
  stage.append(status, notes, list);

  return (payload, phase) => {
    const values = { count: payload.rows.length, step: (payload.now?.index ?? 0) + 1, steps: payload.now?.steps };
    status.replaceChildren(say("span", payload.now && phase !== "stopped" ? "samplers.running" : `samplers.${phase === "running" ? "between" : phase}`, values));
    const left = payload.left_out.map((name) => say("p", `samplers.left_out.${name}`, { T: payload.T }, "warning"));
    const limit = payload.limit ? say("p", "film.limit", { limit: payload.limit }, "warning") : null;
    notes.replaceChildren(...[say("p", "samplers.about"), ...left, limit].filter(Boolean));
    list.replaceChildren(...payload.rows.map(resultRow), ...(payload.now && phase !== "stopped" ? [runningRow(payload.now)] : []));
  };
}

function resultRow(row) {
  const seconds = say("p", "samplers.cost", { calls: row.calls, seconds: row.seconds.toFixed(1) }, "note");
  Object.assign(seconds.dataset, { quantity: `calls_${row.sampler}_${row.steps}`, exact: String(row.calls) });
  const words = node("div", { className: "count-words" }, title(row), say("p", `samplers.what.${row.sampler}`, {}, "note"), seconds);
  return node("div", { className: "count-row", dataset: { sampler: row.sampler, steps: String(row.steps) } }, words, strip(row.pictures, label(row), "x0"));
}

function runningRow(now) {
  const words = node("div", { className: "count-words" }, title(now), say("p", "step_counts.guess", { t: now.t }, "note"));
  return node("div", { className: "count-row" }, words, strip(now.pictures, t("step_counts.guess", { t: now.t }).replaceAll("$", ""), "p"));
}

function title(row) {
  return say("p", "samplers.title_of_row", { name: t(`samplers.${row.sampler}`), steps: row.steps }, "verdict");
}

function label(row) {
  return t("samplers.picture", { name: t(`samplers.${row.sampler}`), steps: row.steps }).replaceAll("$", "");
}
