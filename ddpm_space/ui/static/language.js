// Runs before Gradio: Gradio takes its language from navigator.language and knows Chinese only as exactly "zh-CN".
(() => {
  "use strict";
  const STORAGE_KEY = "ddpm-space-language";

  const supported = (tag) => {
    if (/^zh\b/i.test(tag || "")) return "zh-CN";
    return /^en\b/i.test(tag || "") ? "en" : null;
  };

  const remembered = () => {
    try {
      return localStorage.getItem(STORAGE_KEY);
    } catch {
      return null; // a page inside a frame of another site may have no storage
    }
  };

  const remember = (language) => {
    try {
      localStorage.setItem(STORAGE_KEY, language);
    } catch {
      // the address keeps the choice
    }
  };

  const asked = supported(new URLSearchParams(location.search).get("lang"));
  const browser = (navigator.languages || [navigator.language]).map(supported).find(Boolean);
  const language = asked || supported(remembered()) || browser || "en";
  if (asked) remember(asked);

  Object.defineProperty(navigator, "language", { get: () => language, configurable: true });
  Object.defineProperty(navigator, "languages", { get: () => [language], configurable: true });
  document.documentElement.lang = language;

  const switchTo = (tag) => {
    remember(tag);
    const address = new URL(location.href);
    address.searchParams.set("lang", tag);
    location.assign(address);
  };

  // Gradio may place a panel before app.js and all that it imports have arrived: such panels wait here.
  const early = [];
  window.ddpm = { language, switchTo, early, mount: (...panel) => early.push(panel) };
})();
