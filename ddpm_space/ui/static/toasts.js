// Gradio's own notices come in English whatever the language: those that a visitor can meet are said in the page's, and runs that wait are told.
import { t } from "./text.js";

const OWN_WORDS = { "This application is currently busy. Please try again.": "error.busy", "Connection errored out.": "error.connection" };

export function translateToasts() {
  const translate = () =>
    document.querySelectorAll('[data-testid="toast-text"]').forEach((text) => {
      const key = OWN_WORDS[text.textContent.trim()];
      if (!key || text.dataset.translated) return;
      text.dataset.translated = key;
      text.textContent = t(key);
      document.dispatchEvent(new CustomEvent("ddpm-refused", { detail: { key, values: {} } }));
    });
  new MutationObserver(translate).observe(document.body, { childList: true, subtree: true });
}
