"""Every word that a visitor can read, in Chinese and English: one pair for each id, so that neither can be missing.

Split by place for its length. Ids are used by Python (`T("id")`) and by `static/*.js` (`t("id")`); a test compares both with what is here.
Formulas stand between dollar signs; {names} are filled in by the browser.
"""

from __future__ import annotations

import gradio as gr

from ddpm_space.ui.text.derivation import DERIVATION
from ddpm_space.ui.text.errors import ERRORS
from ddpm_space.ui.text.gaussian import GAUSSIAN
from ddpm_space.ui.text.langevin import LANGEVIN
from ddpm_space.ui.text.likelihood import LIKELIHOOD
from ddpm_space.ui.text.loss import LOSS
from ddpm_space.ui.text.mistakes import MISTAKES
from ddpm_space.ui.text.models import MODELS
from ddpm_space.ui.text.noising import NOISING
from ddpm_space.ui.text.page import PAGE
from ddpm_space.ui.text.plane import PLANE
from ddpm_space.ui.text.posterior import POSTERIOR
from ddpm_space.ui.text.reasons import REASON_TEXTS
from ddpm_space.ui.text.sampling import SAMPLING
from ddpm_space.ui.text.thermo2015 import THERMO2015

Pairs = dict[str, tuple[str, str]]

TEXT: Pairs = {
    **PAGE,
    **NOISING,
    **POSTERIOR,
    **LANGEVIN,
    **GAUSSIAN,
    **LIKELIHOOD,
    **SAMPLING,
    **LOSS,
    **DERIVATION,
    **THERMO2015,
    **MODELS,
    **PLANE,
    **MISTAKES,
    **ERRORS,
    **REASON_TEXTS,
}
"""id -> (Chinese, English)."""

I18N = gr.I18n(en={key: english for key, (_, english) in TEXT.items()}, **{"zh-CN": {key: chinese for key, (chinese, _) in TEXT.items()}})
T = I18N
"""`T("id")` stands for a text wherever Gradio shows one."""
