// One value of the picture, noised many times: single steps and one jump as histograms under the theoretical curve.
import { CHAIN, asked, chain, onChange, sideOf, whenQuiet } from "../chain.js";
import { chart } from "../chart.js";
import { choice, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode, paintPlanes } from "../picture.js";
import { noisedPicture } from "../store.js";
import { node, number, numberTex, say, t, withError } from "../text.js";
import { routesTable } from "./measured.js";

const CHANCE = 3.5; // of four z, one beyond this comes by chance about once in 500 measurements
const RARE = 0.001;
let made = null;

// The chosen value, which the posterior's section reads too.
export function chosenValue() {
  if (made) return made;
  const place = (key, initial) => slider(key, { min: 0, max: 255, step: 1, initial, shown: String });
  made = { row: place("pixel.row", 8), column: place("pixel.column", 14), channel: choice("pixel.channel", ["red", "green", "blue"], "green") };
  chain().view.setting.subscribe((view) => {
    made.channel.element.hidden = !view.startsWith("colour");
    for (const control of [made.row, made.column]) {
      const last = sideOf(view) - 1;
      control.input.max = last;
      control.setting.set(Math.min(last, control.setting.value));
    }
  });
  return made;
}

export const valueAsked = () => Object.fromEntries(Object.entries(chosenValue()).map(([name, control]) => [name, control.setting.value]));

export function pixel(root) {
  const value = chosenValue();
  const frame = lab(root, "pixel", {
    controls: { where: where(value), ...value, draws: choice("pixel.draws", ["1000", "5000", "20000"], "5000") },
    build,
    cards: ["N6.q_cumulative", "N5.q_step", "N3.q_cumulative_sample"],
    values: (chosen) => ({ ...asked(), ...chosen }),
  });
  onChange(whenQuiet(frame.refresh), [...CHAIN, "t"]);
}

// The clean picture with the chosen pixel framed; a press on it chooses another.
function where({ row, column }) {
  const canvas = node("canvas", { className: "pixel-picture", role: "img", ariaLabel: t("pixel.where") });
  const ring = node("div", { className: "pixel-ring" });
  const holder = node("div", { className: "pixel-holder role-x0" }, canvas, ring);
  const mark = () => {
    const side = sideOf(chain().view.setting.value);
    ring.style.left = `${(100 * column.setting.value) / side}%`;
    ring.style.top = `${(100 * row.setting.value) / side}%`;
    ring.style.width = `${100 / side}%`;
    ring.style.height = `${100 / side}%`;
  };
  row.setting.subscribe(mark);
  column.setting.subscribe(mark);
  noisedPicture.subscribe((picture) => {
    paintPlanes(canvas, picture.x0, picture.shape);
    mark();
  });
  canvas.addEventListener("pointerdown", (event) => {
    const box = canvas.getBoundingClientRect();
    const side = sideOf(chain().view.setting.value);
    const at = (share) => Math.max(0, Math.min(side - 1, Math.floor(share * side)));
    column.setting.set(at((event.clientX - box.left) / box.width));
    row.setting.set(at((event.clientY - box.top) / box.height));
  });
  return node("div", { className: "control" }, say("span", "pixel.where", {}, "field-label"), holder);
}

function build(stage, { fill }) {
  const verdict = node("p", { className: "verdict" });
  const plots = ["steps", "jump"].map((name) => node("div", { dataset: { chart: `pixel-${name}` } }));
  const holder = node("div");
  stage.append(verdict, node("div", { className: "charts two" }, ...plots), holder, say("p", "pixel.how", {}, "note"));
  const draws = plots.map(chart);
  return (answer) => {
    const routes = ["steps", "jump"].map((name) => ({ name, ...answer.routes[name] }));
    const worst = Math.max(...routes.flatMap(({ mean_z, variance_z }) => [Math.abs(mean_z), Math.abs(variance_z)]));
    const rarest = Math.min(...routes.map(({ p }) => p));
    const fits = worst <= CHANCE && rarest >= RARE;
    verdict.replaceChildren(say("span", fits ? "pixel.agree" : "pixel.differ", { t: answer.t, z: number(worst, 2), p: number(rarest, 2), draws: answer.draws }));
    verdict.dataset.worst = String(worst);
    const x = decode(answer.x);
    const density = decode(answer.density);
    const edges = decode(answer.edges);
    routes.forEach((route, index) => {
      draws[index]({
        title: t(`pixel.${route.name}`, { steps: answer.t + 1 }),
        x: { min: edges[0], max: edges[edges.length - 1], label: t("pixel.axis_x"), symbol: "x", exact: true },
        y: { min: 0, max: 1.25 * Math.max(...density), label: t("pixel.axis_density") },
        bars: [{ name: t("pixel.drawn"), role: "xt", edges, heights: decode(route.heights) }],
        lines: [{ name: t("pixel.law"), role: "q", x, y: density }],
      });
    });
    const cell = (shown, value, name) => ({ shown, value, name });
    const moment = (name) => ({
      key: `pixel.${name}`,
      mark: name === "mean" ? "\\sqrt{\\bar\\alpha_t}\\,x_0" : "1-\\bar\\alpha_t",
      cells: [cell(number(answer[name], 5), answer[name], `pixel_${name}`), ...routes.map((route) => cell(`${withError(route[name], route[`${name}_se`])}  (z = ${number(route[`${name}_z`], 2)})`, route[name], `pixel_${name}_${route.name}`))],
    });
    const { freedom } = routes[0];
    const chi2 = { key: "pixel.chi2", mark: "\\chi^2", cells: [cell(`${freedom} ± ${number(Math.sqrt(2 * freedom), 2)}`, freedom, "pixel_freedom"), ...routes.map((route) => cell(`${number(route.chi2, 3)}  (p = ${number(route.p, 2)})`, route.chi2, `pixel_chi2_${route.name}`))] };
    routesTable(holder, ["pixel.quantity", "pixel.formula", "pixel.steps", "pixel.jump"], [moment("mean"), moment("variance"), chi2], { steps: answer.t + 1 });
    const { t: time, x_0: x0, alpha_bar: alphaBar } = answer;
    fill("N6.q_cumulative", `q(x_{${time}}\\mid x_0 = ${numberTex(x0)}) = \\mathcal N\\bigl(\\sqrt{${numberTex(alphaBar)}}\\times(${numberTex(x0)}),\\ 1-${numberTex(alphaBar)}\\bigr) = \\mathcal N(${numberTex(answer.mean)},\\ ${numberTex(answer.variance)})`);
  };
}
