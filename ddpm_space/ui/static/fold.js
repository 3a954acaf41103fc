// On a phone the sections after a tab's first show their question alone, until they are opened. page.css folds what is marked, and only on a phone.
import { inAddress, keep } from "./link.js";
import { node, t } from "./text.js";

const opened = new Set((inAddress("open") ?? "").split(",").filter(Boolean));
const folds = new Map();

const isSection = (block) => block.classList.contains("ddpm-section");

// What belongs to a section: the blocks after its head, up to the next one's.
function* body(block) {
  for (let next = block.nextElementSibling; next && !isSection(next); next = next.nextElementSibling) yield next;
}

export function fold(root, key, heading) {
  const block = root.closest(".column > .ddpm-section");
  const first = [...(block?.parentElement.children ?? [])].find(isSection);
  if (!block || block === first) return;
  heading.id = `heading-${key}`;
  const button = node("button", { type: "button", id: `fold-${key}`, className: "small-button fold-button", dataset: { fold: key } });
  button.setAttribute("aria-labelledby", `fold-${key} heading-${key}`);
  const show = () => {
    const open = opened.has(key);
    button.textContent = t(open ? "fold.close" : "fold.open");
    button.setAttribute("aria-expanded", String(open));
    for (const part of body(block)) part.toggleAttribute("data-folded", !open);
  };
  folds.set(key, show);
  button.addEventListener("click", () => {
    if (opened.has(key)) opened.delete(key);
    else opened.add(key);
    keep("open", [...opened].join(",") || null);
    show();
  });
  root.append(button);
  show();
}

// A link leads to a section: whoever follows it finds it open.
export function unfold(key) {
  if (opened.has(key) || !folds.has(key)) return;
  opened.add(key);
  keep("open", [...opened].join(","));
  folds.get(key)();
}
