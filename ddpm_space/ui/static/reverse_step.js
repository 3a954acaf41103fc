// One reverse step opened up: the mean as a weighted sum of x_0_hat and x_t, then the noise that is added to it.
import { decode, paintPlanes, sign, term, tile } from "./picture.js";
import { ROLE_TEX, node, number, numberTex, say, tex } from "./text.js";

const at = (index, letter = "x", role = "xt") => `\\htmlClass{role-${role}}{\\mathbf ${letter}_{${index}}}`;

export function reverseStep(root) {
  const tiles = {
    mu: tile({ role: "p", symbol: "\\htmlClass{role-p}{\\boldsymbol\\mu_\\theta}", textKey: "step.mu" }),
    mu2: tile({ role: "p", symbol: "\\htmlClass{role-p}{\\boldsymbol\\mu_\\theta}", textKey: "step.mu" }),
    x0: tile({ role: "p", symbol: ROLE_TEX.x0hat, textKey: "step.x0hat" }),
    xt: tile({ role: "xt", symbol: ROLE_TEX.xt, textKey: "step.xt" }),
    noise: tile({ role: "eps", symbol: "\\htmlClass{role-eps}{\\mathbf z}", textKey: "step.noise" }),
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
  root.append(title, formula, ...lines, notes);

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
  };
}

function formulaTex(time, s, a, b, sigma) {
  const symbolic = `\\htmlClass{role-p}{\\boldsymbol\\mu_\\theta} &= \\frac{\\sqrt{\\bar\\alpha_s}\\,\\beta_{t|s}}{1-\\bar\\alpha_t}\\,${ROLE_TEX.x0hat} + \\frac{\\sqrt{\\alpha_{t|s}}\\,(1-\\bar\\alpha_s)}{1-\\bar\\alpha_t}\\,${ROLE_TEX.xt}`;
  const filled = `&= ${numberTex(a)}\\;${ROLE_TEX.x0hat} + ${numberTex(b)}\\;${at(time)}`;
  const draw = `${s < 0 ? ROLE_TEX.x0 : at(s)} &= \\htmlClass{role-p}{\\boldsymbol\\mu_\\theta} + ${numberTex(sigma)}\\;\\htmlClass{role-eps}{\\mathbf z}`;
  return `\\begin{aligned}${symbolic}\\\\ ${filled}\\\\ ${draw}\\end{aligned}`;
}
