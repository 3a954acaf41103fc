// The law of x_t with this step's numbers put in, and the numbers themselves.
import { chain } from "./chain.js";
import { coefficients } from "./noising.js";
import { noisedPicture } from "./store.js";
import { ROLE_TEX, node, number, numberTex, say, tex } from "./text.js";

export function numbers(root) {
  const formula = node("div", { className: "formula-block" });
  const list = node("dl", { className: "numbers" });
  root.append(formula, list, say("p", "noising.clip_note", {}, "note"));

  const step = chain().t.setting;
  const show = () => {
    const [picture, time] = [noisedPicture.value, step.value];
    if (!picture || time >= picture.T) return;
    const now = coefficients(picture, time);
    tex(formula, formulaTex(time, now), true);
    list.replaceChildren(...quantities(time, now, picture));
  };
  noisedPicture.subscribe(show);
  step.subscribe(show);
}

function formulaTex(time, { alphaBar, signal }) {
  const at = (index) => `\\htmlClass{role-xt}{\\mathbf x_{${index}}}`;
  const law = (index, mean, variance) =>
    `\\htmlClass{role-q}{q}(${at(index)}\\mid ${ROLE_TEX.x0}) &= \\mathcal N\\bigl(${at(index)};\\ ${mean}\\,${ROLE_TEX.x0},\\ ${variance}\\,\\mathbf I\\bigr)`;
  return `\\begin{aligned}${law("t", "\\sqrt{\\bar\\alpha_t}", "(1-\\bar\\alpha_t)")}\\\\ ${law(time, numberTex(signal), numberTex(1 - alphaBar))}\\end{aligned}`;
}

function quantities(time, now, picture) {
  const rows = [
    ["t", "t", time, String(time)],
    ["beta", "\\beta_t", picture.beta[time]],
    ["alpha_bar", "\\bar\\alpha_t", now.alphaBar],
    ["signal", "\\sqrt{\\bar\\alpha_t}", now.signal],
    ["sigma", "\\sqrt{1-\\bar\\alpha_t}", now.sigma],
    ["snr", "\\bar\\alpha_t/(1-\\bar\\alpha_t)", now.snr],
    ["alpha_bar_T", "\\bar\\alpha_T", picture.alphaBar[picture.T - 1]],
    ["L_T", "L_T\\ (\\text{bits/dim})", picture.priorBits],
  ];
  return rows.map(([name, symbol, value, shown]) =>
    node("div", {}, tex(node("dt", {}), symbol), node("dd", { dataset: { quantity: name, exact: String(value) } }, shown ?? number(value))),
  );
}
