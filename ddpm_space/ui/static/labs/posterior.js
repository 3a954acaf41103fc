// Bayes at one pixel: what x_0 says of x_s, what x_t says of it, and both together; the formula against the product normalised by quadrature.
import { CHAIN, asked, chain, onChange, whenQuiet } from "../chain.js";
import { chart } from "../chart.js";
import { slider } from "../controls.js";
import { lab } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, numberTex, say, t } from "../text.js";
import { routesTable } from "./measured.js";
import { chosenValue, valueAsked } from "./pixel.js";

const SYMBOLS = { mu_tilde: "\\tilde\\mu", beta_tilde: "\\tilde\\beta", evidence: "q(x_t\\mid x_0)" };

export function posterior(root) {
  const time = (key, max, initial) => slider(key, { min: key === "posterior.t" ? 1 : 0, max, step: 1, initial, shown: String });
  const controls = { t: time("posterior.t", 999, 250), s: time("posterior.s", 998, 150) };
  const [later, earlier] = [controls.t, controls.s];
  const bound = () => {
    const last = Number(chain().T.setting.value) - 1;
    later.input.max = last;
    later.setting.set(Math.min(last, later.setting.value));
    earlier.input.max = later.setting.value - 1;
    earlier.setting.set(Math.min(later.setting.value - 1, earlier.setting.value));
  };
  chain().T.setting.subscribe(bound);
  later.setting.subscribe(bound);
  const frame = lab(root, "posterior", {
    controls: { ...controls, note: say("p", "posterior.which", {}, "note") },
    build,
    cards: ["N7.q_posterior", "N7.posterior_coefficients", "N7.beta_tilde", "N6.q_between", "N2.product"],
    values: (chosen) => ({ ...asked(), ...valueAsked(), ...chosen }),
  });
  const refresh = whenQuiet(frame.refresh);
  onChange(refresh, CHAIN);
  Object.values(chosenValue()).forEach((control) => control.setting.subscribe(refresh));
}

function build(stage, { fill }) {
  const verdict = node("p", { className: "verdict" });
  const curve = node("div", { dataset: { chart: "posterior" } });
  const holder = node("div");
  stage.append(verdict, curve, holder, say("p", "posterior.variance_note", {}, "note"));
  const draw = chart(curve);
  return (answer) => {
    const { s, t: time } = answer;
    const largest = Math.max(...answer.facts.map(({ formula, difference }) => difference / Math.max(1e-12, Math.abs(formula))), answer.curve_difference);
    verdict.replaceChildren(say("span", "posterior.verdict", { t: time, s, x_0: number(answer.x_0), x_t: number(answer.x_t), difference: number(largest, 2) }));
    verdict.dataset.exact = String(largest);
    const x = decode(answer.x);
    const curves = ["prior", "likelihood", "posterior"].map((name) => [name, decode(answer[name])]);
    draw({
      title: t("posterior.chart", { s }),
      height: 280,
      x: { min: x[0], max: x[x.length - 1], label: t("posterior.axis_x"), symbol: "x", exact: true },
      y: { min: 0, max: 1.1 * Math.max(...curves.map(([, y]) => Math.max(...y))), label: t("posterior.axis_density") },
      lines: curves.map(([name, y], index) => ({ name: t(`posterior.${name}`), role: ["x0", "xt", "q"][index], dashed: name !== "posterior", x, y })),
    });
    routesTable(
      holder,
      ["posterior.quantity", "posterior.formula", "posterior.bayes", "posterior.difference"],
      answer.facts.map(({ name, formula, bayes, difference }) => ({
        key: `posterior.fact.${name}`,
        mark: SYMBOLS[name],
        cells: [
          { shown: number(formula, 6), value: formula, name },
          { shown: number(bayes, 6), value: bayes, name: `${name}_bayes` },
          { shown: number(difference, 2), value: difference, name: `${name}_difference` },
        ],
      })),
    );
    const [mean, variance] = answer.facts.map(({ formula }) => numberTex(formula));
    const [a, b] = [numberTex(answer.coef_x_0), numberTex(answer.coef_x_t)];
    const [x0, xt] = [numberTex(answer.x_0), numberTex(answer.x_t)];
    const left = (alphaBar) => `1-${numberTex(alphaBar)}`;
    fill("N7.q_posterior", `q(x_{${s}}\\mid x_{${time}},\\,x_0) = \\mathcal N(${mean},\\ ${variance}),\\quad \\sqrt{${variance}} = ${numberTex(answer.std)}`);
    fill("N7.posterior_coefficients", `\\tilde\\mu = ${a}\\times(${x0}) + ${b}\\times(${xt}) = ${mean}`);
    fill("N7.beta_tilde", `\\tilde\\beta = \\frac{${left(answer.alpha_bar_s)}}{${left(answer.alpha_bar_t)}}\\times ${numberTex(answer.beta_ts)} = ${variance}`);
    fill("N6.q_between", `q(x_{${time}}\\mid x_{${s}}) = \\mathcal N\\bigl(${numberTex(Math.sqrt(1 - answer.beta_ts))}\\,x_{${s}},\\ ${numberTex(answer.beta_ts)}\\bigr)`);
  };
}
