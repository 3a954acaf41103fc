"""Every formula of the registry and of the derivation is drawn by the page's own KaTeX, without an error or a warning."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ddpm_space.derivation import derivation
from ddpm_space.exact import GaussianData
from ddpm_space.exact.chain import ExactChain
from ddpm_space.notes.equations import EQUATIONS
from ddpm_space.schedule import NoiseSchedule

RENDER = """async (formulas) => {
  const katex = (await import(document.getElementById("ddpm-katex").href)).default;
  const complaints = {};
  for (const [id, latex] of Object.entries(formulas)) {
    const strict = (code, message) => { complaints[id] = `${code}: ${message}`; return "ignore"; };
    try {
      katex.renderToString(latex, { throwOnError: true, displayMode: true, strict });
    } catch (error) {
      complaints[id] = error.message;
    }
  }
  return complaints;
}"""


def test_every_formula_is_drawn(open_page: Callable) -> None:
    page = open_page().page
    steps = derivation(torch.tensor([0.5]), ExactChain(GaussianData(torch.zeros(1), 0.5), NoiseSchedule.cosine(4), "fixed_large"))
    formulas = {key: item.latex for key, item in EQUATIONS.items()} | {step.key: step.latex for step in steps}
    assert len(formulas) == len(EQUATIONS) + len(steps)
    assert page.evaluate(RENDER, formulas) == {}
    # The reader complains where there is something to complain about.
    assert set(page.evaluate(RENDER, {"broken": r"\frac{1}", "chinese": "方差"})) == {"broken", "chinese"}
