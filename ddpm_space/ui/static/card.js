// A formula card: the formula, the same with the numbers of this picture and this step, what it means, where it comes from, the function that computes it,
// and its check, run now. What it says comes from the registry of equations.
import { ask } from "./ask.js";
import { errorParts, node, number, rich, say, t, tex } from "./text.js";

const described = new Map();

function describe(id) {
  if (!described.has(id)) described.set(id, fetch(`ddpm/equation/${id}`).then((response) => response.json()));
  return described.get(id);
}

// Returns {element, fill(texWithNumbers)}. `open` shows code and check without a click.
export function card(id) {
  const formula = node("div", { className: "formula-block" });
  const filled = node("div", { className: "formula-block filled", hidden: true });
  const meaning = node("p", { className: "card-meaning" });
  const source = node("span", { className: "card-source" });
  const name = node("code", { className: "card-name" });
  const code = node("pre", { className: "card-code", tabIndex: 0 }, node("code"));
  const details = node("details", { className: "card-more" }, say("summary", "card.code"), name, code);
  const result = node("div", { className: "card-check", role: "status" });
  const check = node("button", { type: "button", className: "small-button", dataset: { check: id } }, t("card.check"));
  const foot = node("div", { className: "card-foot" }, source, check);
  const element = node("article", { className: "formula-card", dataset: { equation: id } }, formula, filled, meaning, foot, result, details);

  const load = () =>
    describe(id).then((entry) => {
      tex(formula, entry.latex, true);
      rich(meaning, entry.meaning[window.ddpm.language]);
      source.textContent = `${entry.id} · ${entry.source}`;
      name.textContent = entry.function;
      code.firstChild.textContent = entry.code;
      code.setAttribute("aria-label", entry.function);
    });
  // Asked for when the card comes near the screen: a page has many.
  whenNear(element, load);

  let seed = 0;
  check.addEventListener("click", async () => {
    check.disabled = true;
    result.replaceChildren(say("p", "card.checking", {}, "note"));
    try {
      const [entry, found] = await Promise.all([describe(id), ask("check", { id, seed })]);
      seed += 1;
      result.replaceChildren(...report(entry, found));
      result.dataset.passed = String(found.passed);
      result.dataset.difference = String(found.difference);
    } catch (error) {
      result.replaceChildren(node("p", { className: "error-note" }, ...errorParts(error.answer)));
    }
    check.disabled = false;
  });

  return {
    element,
    fill: (withNumbers) => {
      filled.hidden = !withNumbers;
      if (withNumbers) tex(filled, withNumbers, true);
    },
  };
}

function report(entry, found) {
  const words = { left: number(found.left, 6), right: number(found.right, 6), difference: number(found.difference, 3), tolerance: number(found.tolerance, 3), seed: found.seed };
  return [
    rich(node("p", { className: "note" }), entry.route[window.ddpm.language]),
    say("p", found.passed ? "card.passed" : "card.failed", words, found.passed ? "card-verdict passed" : "card-verdict failed"),
  ];
}

// Several cards under one heading that opens them.
export function cards(ids, { open = false } = {}) {
  const made = ids.map(card);
  const list = node("div", { className: "formula-cards" }, ...made.map((one) => one.element));
  const element = node("details", { className: "cards", open }, say("summary", "card.heading", { count: ids.length }), list);
  return { element, fill: (id, source) => made[ids.indexOf(id)].fill(source) };
}

export function whenNear(element, act) {
  const observer = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      act();
    },
    { rootMargin: "300px" },
  );
  observer.observe(element);
}
