// A Gaussian under the hand: drag its top or its flank, and the same eps go with it.
import { chart } from "../chart.js";
import { seed, slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t, tex, withError } from "../text.js";
import { bellDrag, below, handles, readings, routesTable } from "./measured.js";
import { threads } from "./threads.js";

const RANGES = { mean: [-3, 3], std: [0.15, 2] };
const MARKS = { area: "\\int p\\,\\mathrm dx", entropy: "H", kl: "\\mathrm{KL}(p\\,\\|\\,\\mathcal N(0,1))" };
const HEADS = ["gaussian.quantity", "gaussian.formula", "gaussian.quadrature", "gaussian.difference"];

export function gaussian(root) {
  const controls = {
    mu: slider("gaussian.mu", { min: RANGES.mean[0], max: RANGES.mean[1], step: 0.01, initial: 1.2 }),
    sigma: slider("gaussian.sigma", { min: RANGES.std[0], max: RANGES.std[1], step: 0.01, initial: 0.7 }),
    seed: seed("gaussian.seed"),
    hint: say("p", "gaussian.hint", {}, "note"),
  };
  lab(root, "gaussian", {
    controls,
    build: (stage, frame) => build(stage, frame, controls),
    cards: ["N3.reparameterize", "N2.density", "N2.entropy", "N2.kl_gaussian"],
  });
}

function build(stage, { fill }, { mu, sigma }) {
  const curve = chart(stage.appendChild(node("div", { dataset: { chart: "density" } })));
  const hang = threads(stage.appendChild(node("div")));
  const one = stage.appendChild(node("div", { className: "formula-block" }));
  const later = below(stage);
  const list = later.appendChild(node("dl"));
  const holder = later.appendChild(node("div"));
  const how = later.appendChild(node("div"));
  const pick = bellDrag(mu, sigma, RANGES);
  let eps = null;
  let reach = 1;

  // The points follow the sliders at once, by the formula that is shown; the curve and the numbers follow when Python has answered.
  const move = () => {
    if (!eps) return;
    const [mean, std] = [mu.setting.value, sigma.setting.value];
    hang({ eps, mu: mean, sigma: std, reach });
    const x = mean + std * eps[0];
    const signed = (value) => (value < 0 ? `(${numberTex(value, 3)})` : numberTex(value, 3));
    const source = `\\htmlClass{role-xt}{x_1} = \\mu + \\sigma\\,\\htmlClass{role-eps}{\\varepsilon_1} = ${numberTex(mean, 3)} + ${numberTex(std, 3)} \\times ${signed(eps[0])} = ${numberTex(x, 3)}`;
    tex(one, source, true);
    one.dataset.quantity = "x_1";
    one.dataset.exact = String(x);
    fill("N3.reparameterize", source);
  };
  mu.setting.subscribe(move);
  sigma.setting.subscribe(move);

  return (answer) => {
    eps = decode(answer.eps);
    reach = answer.reach;
    move();
    const x = decode(answer.x);
    curve({
      title: t("gaussian.chart"),
      height: 260,
      x: { min: -reach, max: reach, label: t("gaussian.axis_x"), symbol: "x", exact: true },
      y: { min: 0, max: Math.max(0.45, 1.12 * answer.top), label: t("gaussian.axis_density") },
      lines: [
        { name: t("gaussian.line"), role: "xt", x, y: decode(answer.density) },
        { name: t("gaussian.standard"), role: "eps", dashed: true, x, y: decode(answer.standard) },
        handles(answer.mu, answer.sigma, answer.top, answer.flank, "xt"),
      ],
      onPick: pick,
      summary: t("gaussian.summary", { mu: number(answer.mu, 3), sigma: number(answer.sigma, 3) }),
    });
    readings(list, [
      ["top", "p(\\mu)", answer.top, number(answer.top)],
      ["points_mean", "\\bar x", answer.points.mean, withError(answer.points.mean, answer.points.se)],
      ["points_std", "s_x", answer.points.std, number(answer.points.std, 3)],
    ]);
    routesTable(
      holder,
      HEADS,
      answer.facts.map(({ name, formula, quadrature, difference }) => ({
        key: `gaussian.fact.${name}`,
        mark: MARKS[name],
        cells: [
          { shown: number(formula, 5), value: formula, name },
          { shown: number(quadrature, 5), value: quadrature, name: `${name}_quadrature` },
          { shown: number(difference, 2), value: difference, name: `${name}_difference` },
        ],
      })),
    );
    how.replaceChildren(say("p", answer.top > 1 ? "gaussian.above_one" : "gaussian.how", { count: eps.length, top: number(answer.top, 3) }, "note"));
    const [, entropy, kl] = answer.facts;
    const [m, s] = [numberTex(answer.mu, 3), numberTex(answer.sigma, 3)];
    fill("N2.density", `\\mathcal N(${m};\\ ${m},\\ ${s}^2) = ${numberTex(answer.top)}`);
    fill("N2.entropy", `H = \\tfrac12\\log(2\\pi e\\cdot ${s}^2) = ${numberTex(entropy.formula)}`);
    fill("N2.kl_gaussian", `\\tfrac12\\big(${s}^2 - 1 - \\log ${s}^2 + (${m})^2\\big) = ${numberTex(kl.formula)}`);
  };
}
