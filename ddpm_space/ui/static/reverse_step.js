// One reverse step opened up: the mean as a weighted sum of x_0_hat and x_t, then the noise that is added to it; below, its formulas with its numbers.
import { cards } from "./card.js";
import { decode, paintPlanes, sign, term, tile } from "./picture.js";
import { ROLE_TEX, node, number, numberTex, say, tex } from "./text.js";

const CARDS = ["N7.q_posterior", "N7.posterior_coefficients", "N7.beta_tilde", "N8.optimal_variance", "N8.largest_last_sigma", "N8.p_reverse", "N8.ancestral_step"];
const MU = "\\htmlClass{role-p}{\\boldsymbol\\mu_\\theta}";
const Z = "\\htmlClass{role-eps}{\\mathbf z}";
// x_0 is clean data, t = -1 in the code's count; what t = 0 counts is still noisy.
const at = (index) => `\\htmlClass{role-xt}{\\mathbf x_{${index === 0 ? "t=0" : index}}}`;
const arrived = (s) => (s < 0 ? ROLE_TEX.x0 : at(s));

export function reverseStep(root) {
  const tiles = {
    mu: tile({ role: "p", symbol: MU, textKey: "step.mu" }),
    mu2: tile({ role: "p", symbol: MU, textKey: "step.mu" }),
    x0: tile({ role: "p", symbol: ROLE_TEX.x0hat, textKey: "step.x0hat" }),
    xt: tile({ role: "xt", symbol: ROLE_TEX.xt, textKey: "step.xt" }),
    noise: tile({ role: "eps", symbol: Z, textKey: "step.noise" }),
    next: tile({ role: "xt", symbol: "\\htmlClass{role-xt}{\\mathbf x_s}", textKey: "step.next" }),
  };
  const [x0, xt, noise] = [term(tiles.x0, "p"), term(tiles.xt, "xt"), term(tiles.noise, "eps")];
  const lines = [
    node("div", { className: "picture-equation" }, term(tiles.mu).element, sign("="), x0.element, sign("+"), xt.element),
    node("div", { className: "picture-equation second" }, term(tiles.next).element, sign("="), term(tiles.mu2).element, sign("+"), noise.element),
  ];
  const title = node("p", { className: "verdict" });
  const formula = node("div", { className: "formula-block" });
  const notes = node("div", { className: "note" });
  const formulas = cards(CARDS);
  root.append(title, formula, ...lines, notes, formulas.element);

  return (opened) => {
    const { t: time, s, coef_x_0: a, coef_x_t: b, sigma } = opened;
    title.replaceChildren(say("span", s < 0 ? "step.heading_last" : "step.heading", { image: opened.image + 1, t: time, s }));
    tex(formula, formulaTex(time, s, a, b, sigma), true);
    formula.dataset.coefficients = JSON.stringify({ t: time, s, a, b, sigma });
    x0.weight.textContent = `${number(a)} ×`;
    xt.weight.textContent = `${number(b)} ×`;
    noise.weight.textContent = `${number(sigma)} ×`;
    for (const [name, key] of Object.entries({ mu: "mu", mu2: "mu", x0: "x_0_hat", xt: "x_t", noise: "noise", next: "x_s" })) {
      const values = decode(opened[key]);
      paintPlanes(tiles[name].canvas, values, values.shape);
    }
    const identity = opened.residual === 0 ? say("p", "step.identity_exact") : say("p", "step.identity", { error: number(opened.residual, 2) });
    identity.dataset.residual = String(opened.residual);
    const clipped = opened.clipped > 0 ? say("p", "step.clipped", { percent: (100 * opened.clipped).toFixed(0) }) : null;
    notes.replaceChildren(...[identity, clipped, sigma === 0 ? say("p", "step.no_noise") : null].filter(Boolean));
    for (const [id, source] of Object.entries({ ...filled(opened), ...best(opened) })) formulas.fill(id, source);
  };
}

// The analytic variance of this step with its numbers, and its bound where it is the last noise; nothing where another variance was chosen.
function best({ coef_x_0, beta_tilde, posterior_variance: V, optimal, bounded, sigma, grey_levels: levels }) {
  return {
    "N8.optimal_variance": V === null ? null : `\\sigma_t^{*2} = ${numberTex(beta_tilde)} + ${numberTex(coef_x_0)}^2\\times ${numberTex(V)} = ${numberTex(optimal)}`,
    "N8.largest_last_sigma": bounded ? `\\sigma_{\\max} = ${numberTex(levels)}\\times\\sqrt{\\tfrac{\\pi}{2}}\\times\\tfrac{2}{255} = ${numberTex(sigma)} < \\sqrt{${numberTex(optimal)}}` : null,
  };
}

function formulaTex(time, s, a, b, sigma) {
  const symbolic = `${MU} &= \\frac{\\sqrt{\\bar\\alpha_s}\\,\\beta_{t|s}}{1-\\bar\\alpha_t}\\,${ROLE_TEX.x0hat} + \\frac{\\sqrt{\\alpha_{t|s}}\\,(1-\\bar\\alpha_s)}{1-\\bar\\alpha_t}\\,${ROLE_TEX.xt}`;
  const numbers = `&= ${numberTex(a)}\\;${ROLE_TEX.x0hat} + ${numberTex(b)}\\;${at(time)}`;
  const draw = `${arrived(s)} &= ${MU} + ${numberTex(sigma)}\\;${Z}`;
  return `\\begin{aligned}${symbolic}\\\\ ${numbers}\\\\ ${draw}\\end{aligned}`;
}

// The formulas of the cards with the numbers of this step.
function filled({ t: time, s, coef_x_0, coef_x_t, alpha_bar_t, alpha_bar_s, beta_ts, beta_tilde, sigma2, sigma }) {
  const [a, b, noised, kept, beta, tilde] = [coef_x_0, coef_x_t, alpha_bar_t, alpha_bar_s, beta_ts, beta_tilde].map((value) => numberTex(value));
  const mean = (clean) => `${a}\\,${clean} + ${b}\\,${at(time)}`;
  const normal = (clean, variance) => `\\mathcal N\\bigl(${mean(clean)},\\ ${variance}\\,\\mathbf I\\bigr)`;
  const left = numberTex(1 - alpha_bar_t);
  return {
    "N7.q_posterior": `q(${arrived(s)}\\mid ${at(time)}, ${ROLE_TEX.x0}) = ${normal(ROLE_TEX.x0, tilde)}`,
    "N7.posterior_coefficients": `\\begin{aligned}\\text{coef}_{x_0} &= \\frac{\\sqrt{${kept}}\\times ${beta}}{${left}} = ${a}\\\\ \\text{coef}_{x_t} &= \\frac{\\sqrt{1-${beta}}\\times ${numberTex(1 - alpha_bar_s)}}{${left}} = ${b}\\end{aligned}`,
    "N7.beta_tilde": `\\tilde\\beta = \\frac{1-${kept}}{1-${noised}}\\times ${beta} = ${tilde}`,
    "N8.p_reverse": `p_\\theta(${arrived(s)}\\mid ${at(time)}) = ${normal(ROLE_TEX.x0hat, numberTex(sigma2))}`,
    "N8.ancestral_step": `${arrived(s)} = ${mean(ROLE_TEX.x0hat)}${s < 0 ? "" : ` + ${numberTex(sigma)}\\,${Z}`}`,
  };
}
