// The 2-D lab (rows N7, N8): particles run back through the exact reverse process; below them the density and the score of q_t, above them trajectories.
import { latest } from "../ask.js";
import { arrows, cloud, heat, paced } from "../cloud.js";
import { choice, seed, slider, toggle } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, rich, say, t, tex, withError } from "../text.js";
import { askedWorld, worldControls } from "./world.js";

const PATHS = 4;
const ARROW_SHARE = 0.2;
const SECONDS = 2; // of a run that is played, unless a picture for every step takes longer
const FASTEST = 30; // steps a second
const CARDS = ["N8.ancestral_step", "N7.posterior_coefficients", "N1.score_from_eps", "N6.q_cumulative"];
const QUANTITIES = [
  ["t", "t"],
  ["alpha_bar", "\\bar\\alpha_t"],
  ["alpha_bar_s", "\\bar\\alpha_s"],
  ["coef_x_0", "\\mathrm{coef}_{x_0}"],
  ["coef_x_t", "\\mathrm{coef}_{x_t}"],
  ["sigma", "\\sigma_t"],
];

export function plane(root) {
  const layers = {
    density: toggle("plane.density", true),
    score: toggle("plane.score", false),
    paths: toggle("plane.paths", true),
    data: toggle("plane.data", true),
  };
  const controls = {
    ...worldControls(),
    schedule: choice("plane.schedule", ["linear", "cosine", "sigmoid"], "linear"),
    T: choice("plane.T", ["50", "200", "1000"], "1000"),
    steps: slider("plane.steps", { min: 2, max: 100, step: 1, initial: 60, shown: String }),
    variance: choice("plane.variance", ["fixed_small", "fixed_large"], "fixed_small"),
    particles: slider("plane.particles", { min: 100, max: 2000, step: 100, initial: 1000, shown: String }),
    seed: seed("plane.seed"),
    // Not among what is asked: the layers are drawn, or not, from what is there.
    layers: node("div", { className: "control", role: "group" }, say("span", "plane.layers", {}, "field-label"), ...Object.values(layers).map((one) => one.element)),
  };
  controls.layers.setAttribute("aria-label", t("plane.layers"));
  lab(root, "plane", {
    controls,
    build: (stage, { fill }) => build(stage, fill, layers),
    cards: CARDS,
    values: (chosen) => ({ ...askedWorld(chosen), steps: Math.min(chosen.steps, Number(chosen.T)) }),
  });
}

function build(stage, fill, layers) {
  const picture = node("div", { className: "square-cloud" });
  const particles = cloud(picture, { label: t("plane.picture"), height: 0.975 });
  const list = node("dl", { className: "numbers" });
  const arrived = say("p", "plane.result", {}, "arrived");
  const warning = node("p", { className: "warning" });
  const about = node("p", { className: "note" });
  const distance = node("p", { className: "note" });
  const shade = node("p", { className: "note" });
  stage.append(node("div", { className: "plane-stage" }, picture, node("div", {}, say("h3", "plane.next"), list, arrived, warning, about, distance, shade)));
  let run = null;
  let field = null;

  const on = (name) => layers[name].setting.value;
  const repaint = () => run && particles.go(run.frame);
  const askField = latest(
    "field",
    (answer) => {
      field = unpackedField(answer);
      repaint();
    },
    () => {
      field = null; // its question is the particles' question, which says what is wrong with it
    },
  );
  const wantField = () => run && !field && (on("density") || on("score")) && askField(run.asked);
  for (const layer of Object.values(layers)) {
    layer.setting.subscribe(() => {
      wantField();
      repaint();
    });
  }

  const below = [
    (draw, frame) => field && on("density") && field.shade(frame)(draw),
    (draw) => on("data") && dots(draw, run.points),
    (draw, frame) => field && on("score") && field.arrows(frame)?.(draw),
  ];
  const above = [(draw, frame) => on("paths") && paths(draw, run.frames, frame)];

  particles.onFrame((frame) => {
    run.frame = frame;
  });
  paced(particles, (frame) => {
    const step = run.stepAt(frame);
    list.hidden = !step;
    arrived.hidden = Boolean(step);
    list.replaceChildren(...(step ? QUANTITIES.map((quantity) => entry(quantity, step)) : []));
    shade.hidden = !field || !(on("density") || on("score"));
    if (!shade.hidden) {
      rich(shade, t("plane.shade", { value: `${number(100 * field.fullest[frame], 3)}%` }));
      shade.dataset.quantity = "fullest";
      shade.dataset.exact = String(field.fullest[frame]);
    }
    if (step) fillCards(fill, step);
  });

  return (answer, asked) => {
    run = unpacked(answer, asked);
    field = null;
    wantField();
    const total = run.frames.shape[0] - 1;
    particles.set({
      frames: run.frames,
      box: [-answer.reach, answer.reach, -answer.reach, answer.reach],
      labels: { x: t("plane.x"), y: t("plane.y") },
      role: "xt",
      time: (frame) => (frame < total ? t("plane.frame", { step: frame, total, t: answer.t[frame] }) : t("plane.result_label")),
      layers: below,
      above,
      perSecond: Math.min(FASTEST, Math.max(4, total / SECONDS)),
      from: total,
    });
    about.replaceChildren(say("span", answer.world.kind === "points" ? "plane.points_world" : "plane.mixture_world", answer.world));
    const [value, reference] = [answer.distance, answer.reference].map((found) => withError(found.value, found.se));
    distance.replaceChildren(say("span", "plane.distance", { value, reference }));
    Object.assign(distance.dataset, { quantity: "distance", exact: String(answer.distance.value), se: String(answer.distance.se) });
    warning.hidden = answer.terminal.ok;
    if (!answer.terminal.ok) warning.replaceChildren(say("span", "plane.terminal", { value: number(answer.terminal.alpha_bar, 3) }));
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) {
      particles.go(0);
      particles.play();
    }
  };
}

function unpacked(answer, asked) {
  const packed = ["frames", "points", "alpha_bar_t", "alpha_bar_s", "coef_x_0", "coef_x_t", "sigma"];
  const run = { asked, frame: 0, ...Object.fromEntries(packed.map((name) => [name, decode(answer[name])])) };
  const one = (frame) => ({
    t: answer.t[frame],
    s: answer.t[frame + 1] ?? -1,
    alpha_bar: run.alpha_bar_t[frame],
    ...Object.fromEntries(packed.slice(3).map((name) => [name, run[name][frame]])),
  });
  return Object.assign(run, { stepAt: (frame) => (frame < answer.t.length ? one(frame) : null) });
}

// Layers of a frame are made when it is first drawn.
function unpackedField(answer) {
  const [cells, places, moves] = [answer.cells, answer.places, answer.arrows].map(decode);
  const [frames, height, width] = cells.shape;
  const [made, pointing] = [[], []];
  const box = [-3, 3, -3, 3];
  return {
    fullest: decode(answer.fullest),
    shade: (frame) => {
      const size = height * width;
      made[frame] ??= heat({ values: Float32Array.from(cells.subarray(frame * size, (frame + 1) * size), (byte) => byte / 255), shape: [height, width] }, box, "q");
      return made[frame];
    },
    arrows: (frame) => {
      if (frame >= frames - 1) return null;
      const count = places.shape[0];
      const values = new Float32Array(4 * count);
      for (let index = 0; !pointing[frame] && index < count; index += 1) {
        for (const axis of [0, 1]) {
          values[4 * index + axis] = places[2 * index + axis];
          values[4 * index + 2 + axis] = ARROW_SHARE * moves[2 * (frame * count + index) + axis];
        }
      }
      pointing[frame] ??= arrows({ values, count }, "ink");
      return pointing[frame];
    },
  };
}

export function dots({ context, x, y, colour }, points) {
  context.fillStyle = colour("x0");
  context.globalAlpha = 0.6;
  for (let index = 0; index < points.shape[0]; index += 1) context.fillRect(x(points[2 * index]) - 1.5, y(points[2 * index + 1]) - 1.5, 3, 3);
  context.globalAlpha = 1;
}

function paths({ context, x, y, colour }, frames, frame) {
  const [, count] = frames.shape;
  context.strokeStyle = colour("ink");
  context.lineWidth = 1.2;
  context.globalAlpha = 0.7;
  for (let index = 0; index < Math.min(PATHS, count); index += 1) {
    context.beginPath();
    for (let past = 0; past <= frame; past += 1) {
      const place = 2 * (past * count + index);
      context[past ? "lineTo" : "moveTo"](x(frames[place]), y(frames[place + 1]));
    }
    context.stroke();
    const end = 2 * (frame * count + index);
    context.beginPath();
    context.arc(x(frames[end]), y(frames[end + 1]), 4, 0, 2 * Math.PI);
    context.stroke();
  }
  context.globalAlpha = 1;
}

function entry([name, symbol], step) {
  const shown = name === "t" ? `${step.t} → ${step.s}` : number(step[name]);
  return node("div", {}, tex(node("dt", {}), symbol), node("dd", { dataset: { quantity: name, exact: String(step[name]) } }, shown));
}

function fillCards(fill, step) {
  const [a, b, sigma] = [step.coef_x_0, step.coef_x_t, step.sigma].map((value) => numberTex(value));
  fill("N7.posterior_coefficients", `\\tilde\\mu_{${step.t}} = ${a}\\,x_0 + ${b}\\,x_{${step.t}}`);
  fill("N8.ancestral_step", `x_{${step.s}} = ${a}\\,\\hat x_0 + ${b}\\,x_{${step.t}} + ${sigma}\\,z`);
  fill("N6.q_cumulative", `q(x_{${step.t}}\\mid x_0) = \\mathcal N\\bigl(${numberTex(Math.sqrt(step.alpha_bar))}\\,x_0,\\ ${numberTex(1 - step.alpha_bar)}\\,I\\bigr)`);
}
