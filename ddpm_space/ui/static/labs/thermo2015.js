// 2015: the bound K in bits beside pi and the truth, the KL of each step, and the entropy bounds of eq. 24 around the reverse entropy.
import { extent } from "../axis.js";
import { chart } from "../chart.js";
import { choice, seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, say, t } from "../text.js";

const CARDS = {
  gaussian: ["N4.K", "N4.step_kl_gaussian", "N4.moment_gaussian", "N4.log_null_gaussian", "N4.entropy_bounds_gaussian", "N4.reverse_entropy_gaussian"],
  binomial: ["N4.step_kl_bits", "N4.moment_bits", "N4.log_null_bits", "N4.entropy_bounds_bits", "N4.gain_bits"],
};
const ROUNDING = 1e-9; // bits
const ONLY = { gaussian: ["shape", "moment"], binomial: ["period", "rate", "seed"] };

export function thermo2015(root) {
  const controls = {
    kernel: choice("thermo2015.kernel", ["gaussian", "binomial"], "gaussian"),
    shape: choice("thermo2015.shape", ["gaussian", "two_peaks"], "two_peaks"),
    moment: slider("thermo2015.moment", { min: 0.2, max: 6, step: 0.1, initial: 1 }),
    period: choice("thermo2015.period", ["2", "4", "8"], "4"),
    rate: choice("thermo2015.rate", ["data", "half"], "data"),
    steps: slider("thermo2015.steps", { min: 3, max: 60, step: 1, initial: 30, shown: String }),
    seed: seed("thermo2015.seed"),
  };
  controls.kernel.setting.subscribe((kernel) =>
    Object.entries(ONLY).forEach(([name, own]) =>
      own.forEach((key) => {
        controls[key].element.hidden = name !== kernel;
      }),
    ),
  );
  lab(root, "thermo2015", { controls, build, cards: [...CARDS.gaussian, ...CARDS.binomial] });
}

function build(stage) {
  const verdict = node("p", { className: "verdict" });
  const scale = node("div", { className: "bit-scale" });
  const numbers = node("dl", { className: "numbers" });
  const films = node("div", { className: "bit-films" });
  const plots = ["distance", "entropies", "terms"].map((name) => node("div", { dataset: { chart: name } }));
  const above = say("p", "thermo2015.above", {}, "warning");
  above.dataset.quantity = "above";
  const sentence = node("p", { className: "note" });
  const routes = node("p", { className: "note" });
  stage.append(verdict, scale, above, numbers, films, node("div", { className: "charts two" }, ...plots, node("div", {}, sentence, routes)));
  const draws = plots.map(chart);

  return (answer) => {
    verdict.replaceChildren(say("span", "thermo2015.verdict", { bound: number(answer.bound), gain: number(answer.gain), truth: number(answer.truth) }));
    drawScale(scale, answer);
    numbers.replaceChildren(...["bound", "null", "gain", "truth", "moment", "plain"].map((name) => entry(name, answer[name])));
    drawFilms(films, answer);
    specs(answer).forEach((spec, index) => draws[index](spec));
    above.hidden = answer.plain <= answer.truth + ROUNDING;
    const steps = decode(answer.upper).length;
    const key = answer.broken ? "broken" : answer.sure ? "sure" : "lucky";
    sentence.replaceChildren(say("span", `thermo2015.${key}`, { broken: answer.broken, steps, worst: number(answer.worst, 3) }));
    sentence.dataset.quantity = "broken";
    sentence.dataset.exact = String(answer.broken);
    sentence.classList.toggle("warning", answer.broken > 0);
    const known = answer.entropy_routes !== null;
    const differences = { bound: number(answer.routes, 2), entropy: number(answer.entropy_routes, 2) };
    routes.replaceChildren(say("span", "thermo2015.routes", differences), " ", say("span", known ? "thermo2015.entropy_routes" : "thermo2015.entropy_route", differences));
    routes.dataset.quantity = "routes";
    routes.dataset.exact = String(answer.routes);
  };
}

function entry(name, value) {
  return node("div", {}, say("dt", `thermo2015.number.${name}`), node("dd", { dataset: { quantity: name, exact: String(value) } }, number(Math.abs(value) < ROUNDING ? 0 : value)));
}

// L_null, K and the truth on one line of bits: K lies between the two, and its distance from L_null is what the chain is worth.
function drawScale(element, { null: none, bound, truth, plain }) {
  const values = { null: none, bound, truth, plain };
  const [low, high] = extent(Object.values(values));
  const room = Math.max(0.05, (high - low) * 0.08);
  const place = (value) => `${(100 * (value - low + room)) / (high - low + 2 * room)}%`;
  const bar = node("div", { className: "bit-gain" });
  bar.style.left = place(Math.min(none, bound));
  bar.style.width = `calc(${place(Math.max(none, bound))} - ${place(Math.min(none, bound))})`;
  const marks = ["null", "bound", "truth"].map((name) => {
    const mark = node("span", { className: `bit-mark bit-${name}` });
    mark.style.left = place(values[name]);
    return mark;
  });
  const axis = node("div", { className: "bit-axis" }, bar, ...marks);
  if (Math.abs(plain - bound) > 1e-3) {
    const mark = node("span", { className: "bit-mark bit-plain" });
    mark.style.left = place(plain);
    axis.append(mark);
  }
  const shown = ["null", "bound", "truth", ...(Math.abs(plain - bound) > 1e-3 ? ["plain"] : [])];
  const legend = shown.map((name) => node("li", {}, node("span", { className: `bit-mark bit-${name}`, ariaHidden: "true" }), say("span", `thermo2015.number.${name}`), node("span", { className: "legend-value" }, number(values[name], 3))));
  element.replaceChildren(axis, node("ul", { className: "legend" }, ...legend));
}

function drawFilms(element, answer) {
  element.hidden = answer.kernel !== "binomial";
  if (element.hidden) return;
  element.replaceChildren(...["noised", "drawn"].map((name) => film(name, decode(answer[name]))));
}

// Time from left to right, one row a bit.
function film(name, bits) {
  const [times, length] = bits.shape;
  const canvas = node("canvas", { role: "img", width: times, height: length });
  const words = t(`thermo2015.${name}`);
  canvas.setAttribute("aria-label", words.replaceAll("$", ""));
  const context = canvas.getContext("2d");
  const image = context.createImageData(times, length);
  for (let time = 0; time < times; time += 1) {
    for (let bit = 0; bit < length; bit += 1) {
      const place = 4 * (bit * times + time);
      image.data.fill(bits[time * length + bit] ? 255 : 24, place, place + 3);
      image.data[place + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return node("figure", { className: `bit-film role-${name === "noised" ? "q" : "p"}` }, canvas, say("figcaption", `thermo2015.${name}`, {}, "note"));
}

function specs(answer) {
  const [lower, upper, reverse, terms] = ["lower", "upper", "reverse", "terms"].map((name) => Array.from(decode(answer[name])));
  const x = lower.map((_, index) => index + 2); // the first step that is learned leads from x_2 to x_1
  const time = { min: 2, max: x[x.length - 1], label: t("axis.notes_t"), symbol: "t" };
  const [low, high] = extent([...lower, ...upper, ...reverse]);
  const room = (high - low) * 0.06;
  const distance = reverse.map((value, index) => value - upper[index]);
  // As far as the entropy strays from the upper bound; the lower bound lies below that for most t.
  const reach = Math.max(0.002, ...distance.map(Math.abs)) * 1.3;
  return [
    {
      title: t("thermo2015.chart_distance"),
      x: time,
      y: { min: -reach, max: reach, label: t("axis.bits") },
      areas: [{ name: t("thermo2015.between"), role: "q", x, low: lower.map((value, index) => Math.max(-reach, value - upper[index])), high: upper.map(() => 0) }],
      lines: [
        { name: "$H(X_t|X_{t-1})$", role: "q", dashed: true, x, y: upper.map(() => 0) },
        { name: "$H(X_{t-1}|X_t)$", role: "p", x, y: distance },
      ],
      height: 240,
    },
    {
      title: t("thermo2015.chart_entropies"),
      x: time,
      y: { min: low - room, max: high + room, label: t("axis.entropy") },
      areas: [{ name: t("thermo2015.between"), role: "q", x, low: lower, high: upper }],
      lines: [
        { name: "$H(X_t|X_{t-1})$", role: "q", dashed: true, x, y: upper },
        { name: "$H(X_{t-1}|X_t)$", role: "p", x, y: reverse },
      ],
      height: 240,
    },
    {
      title: t("thermo2015.chart_terms"),
      x: time,
      y: { min: 0, max: Math.max(1e-6, ...terms) * 1.05, label: t("axis.bits") },
      bars: [{ name: "", role: "p", edges: [...x, x[x.length - 1] + 1].map((edge) => edge - 0.5), heights: terms }],
      lines: [{ name: "$\\mathrm{KL}_t$", role: "p", x, y: terms, points: true }],
      height: 240,
    },
  ];
}
