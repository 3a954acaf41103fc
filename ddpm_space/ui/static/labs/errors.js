// The error of eps_theta at chosen t: the noise beside the prediction, the mean square with its standard error, and L_simple.
import { chart } from "../chart.js";
import { seed, words } from "../controls.js";
import { csvButton, fileName } from "../csv.js";
import { decode, paintPlanes, paintSheet, tile } from "../picture.js";
import { runLab } from "../run_lab.js";
import { modelInUse, ranWith } from "../run_model.js";
import { seen } from "../seen.js";
import { chosenPicture, pictureSource } from "../source.js";
import { ROLE_TEX, node, number, rich, say, t, tex, withError } from "../text.js";

const NOISE_RANGE = 3; // eps has no bound; three standard deviations are shown as black and white

export function errors(root, parts) {
  const controls = { model: modelInUse(parts.props.own), picture: pictureSource(), timesteps: words("errors.timesteps", ""), seed: seed("errors.seed") };
  return runLab(root, parts, {
    name: "errors",
    controls,
    build,
    cards: ["N8.simple_loss", "N6.q_cumulative", "N8.x_0_from_eps"],
    values: (chosen) => ({ ...chosen, picture: chosenPicture.value }),
  });
}

function build(stage) {
  const status = node("p", { className: "status", role: "status" });
  const simple = node("p", { className: "verdict" });
  const cards = node("div", { className: "error-cards" });
  const plot = node("div", { className: "wide-chart" });
  const scale = node("p", { className: "note" });
  const picture = seen();
  const model = ranWith();
  const table = csvButton();
  stage.append(node("div", { className: "run-head" }, picture.element, node("div", {}, status, simple, model.element, table.element)), cards, plot, scale);
  const draw = chart(plot);

  return (payload, phase) => {
    const counts = { done: payload.rows.length, total: payload.total, draws: payload.draws };
    const limit = payload.limit ? [" ", say("span", "film.limit", { limit: payload.limit }, "warning")] : [];
    status.replaceChildren(say("span", `errors.${payload.limit ? "stopped" : phase}`, counts), ...limit);
    picture.show(payload.seen);
    model.show(payload.model);
    table.show(phase === "running" || !payload.rows.length ? null : () => saved(payload));
    cards.replaceChildren(...payload.rows.map(card));
    simple.hidden = !payload.simple;
    if (payload.simple) {
      const { mean, se, draws } = payload.simple;
      simple.replaceChildren(say("span", "errors.simple", { value: withError(mean, se), draws }));
      simple.dataset.exact = String(mean);
    }
    rich(scale, t("errors.scale", { range: NOISE_RANGE, count: payload.draws }));
    plot.hidden = payload.rows.length < 2;
    if (!plot.hidden) draw(spec(payload));
  };
}

// One row for each t, and one for L_simple, which is an average over all t.
function saved({ rows, draws, simple, model, T, seed: from }) {
  const all = [...rows.map((row) => ({ quantity: "eps_mse", draws, ...row })), ...(simple ? [{ quantity: "L_simple", t: null, mse: simple.mean, se: simple.se, draws: simple.draws }] : [])];
  const column = (name) => all.map((row) => row[name]);
  return {
    name: fileName("ddpm_errors", model.source, `${T}steps`, `seed${from}`),
    columns: { quantity: column("quantity"), t: column("t"), mse: column("mse"), mse_se: column("se"), draws: column("draws") },
  };
}

function card(row) {
  const noise = (symbol, role, key, values) => {
    const { figure, canvas } = tile({ role, symbol, textKey: key });
    const numbers = decode(values);
    paintPlanes(canvas, numbers, numbers.shape, NOISE_RANGE);
    return figure;
  };
  const image = (symbol, role, key, values) => {
    const { figure, canvas } = tile({ role, symbol, textKey: key });
    const bytes = decode(values);
    paintSheet(canvas, bytes, bytes.shape, 1);
    return figure;
  };
  const [mean, error] = withError(row.mse, row.se).split(" ± ");
  const value = node("p", { className: "card-value", dataset: { mse: String(row.mse), se: String(row.se) } }, mean, node("small", {}, error ? `± ${error}` : ""));
  return node(
    "div",
    { className: "error-card", dataset: { t: String(row.t) } },
    tex(node("h3"), `t = ${row.t}`),
    value,
    node(
      "div",
      { className: "card-tiles" },
      image(ROLE_TEX.xt, "xt", "errors.xt", row.x_t),
      image(ROLE_TEX.x0hat, "p", "errors.x0hat", row.x_0_hat),
      noise(ROLE_TEX.eps, "eps", "errors.eps", row.eps),
      noise(ROLE_TEX.epsTheta, "p", "errors.eps_theta", row.eps_theta),
    ),
  );
}

function spec({ rows, T }) {
  const sorted = [...rows].sort((one, other) => one.t - other.t);
  const [x, y, error] = ["t", "mse", "se"].map((name) => sorted.map((row) => row[name]));
  const top = Math.max(...y.map((value, index) => value + error[index]));
  const low = Math.min(...y.map((value, index) => Math.max(value - error[index], value / 10)));
  return {
    title: t("errors.chart"),
    x: { min: 0, max: T - 1, label: t("axis.t") },
    y: { min: 10 ** Math.floor(Math.log10(low)), max: 10 ** Math.ceil(Math.log10(top)), log: true, label: t("axis.mse") },
    lines: [{ name: "$\\lVert\\boldsymbol\\varepsilon-\\boldsymbol\\varepsilon_\\theta\\rVert^2/D$", role: "p", x, y, error, points: true }],
    summary: sorted.map((row) => `t = ${row.t}: ${number(row.mse)}`).join("; "),
  };
}
