// What a tab asks and answers: its sections' questions as links, gathered from the sections themselves.
import { fold, unfold } from "./fold.js";
import { inAddress, keep } from "./link.js";
import { node, say, t } from "./text.js";

const sections = [];
const lists = new Set();
const WIDE = 900;

const inOrder = (one, other) => (one.root.compareDocumentPosition(other.root) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1);
const tabOf = (element) => element.closest("[role=tabpanel]");

// Each section reports itself; the address may ask for one of them.
export function announce(root, key, heading) {
  root.id = `section-${key}`;
  sections.push({ root, key });
  lists.forEach((list) => list());
  fold(root, key, heading);
  if (inAddress("at") !== key) return;
  unfold(key);
  requestAnimationFrame(() => root.scrollIntoView());
}

// Beside the page the list says where the reader is: at the last question whose head has passed the upper third of the screen.
function followReader(root, list) {
  let waiting = false;
  const mark = () => {
    waiting = false;
    if (!root.offsetParent) return;
    const own = sections.filter((section) => section.root.isConnected && tabOf(section.root) === tabOf(root)).sort(inOrder);
    const here = own.findLast((section) => section.root.getBoundingClientRect().top < window.innerHeight / 3) ?? own[0];
    for (const link of list.querySelectorAll("a")) {
      if (link.dataset.section === here?.key) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };
  document.addEventListener(
    "scroll",
    () => {
      if (!waiting) requestAnimationFrame(mark);
      waiting = true;
    },
    { passive: true },
  );
  return mark;
}

export function contents(root) {
  const list = node("ol", { className: "contents-list" });
  const details = node("details", { className: "contents", open: window.innerWidth >= WIDE }, say("summary", "contents.heading"), list);
  const nav = node("nav", {}, details);
  nav.setAttribute("aria-label", t("contents.heading"));
  root.append(nav);
  const draw = () => {
    const own = sections.filter((section) => section.root.isConnected && tabOf(section.root) === tabOf(root)).sort(inOrder);
    list.replaceChildren(...own.map(entry));
    nav.hidden = own.length < 2;
  };
  const mark = followReader(root, list);
  lists.add(() => {
    draw();
    mark();
  });
  draw();
}

function entry({ root, key }) {
  const link = node("a", { href: `#section-${key}`, dataset: { section: key } }, say("span", `${key}.title`));
  link.addEventListener("click", (event) => {
    event.preventDefault();
    keep("at", key);
    unfold(key);
    root.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    root.querySelector("h2")?.focus({ preventScroll: true });
  });
  return node("li", {}, link);
}

// The open tab stands in the address too.
export function followTabs(names) {
  const find = (name) => [...document.querySelectorAll("[role=tab]")].find((tab) => tab.textContent.trim() === t(`tab.${name}`));
  const wanted = inAddress("tab");
  const begin = performance.now();
  const wait = () => {
    const tabs = names.map(find);
    if (tabs.some((tab) => !tab)) {
      if (performance.now() - begin < 20_000) requestAnimationFrame(wait);
      return;
    }
    document.addEventListener("click", (event) => {
      const tab = event.target.closest?.("[role=tab]");
      const name = names.find((one) => tab?.textContent.trim() === t(`tab.${one}`));
      if (!name) return;
      keep("tab", name === names[0] ? null : name);
      if (event.isTrusted) keep("at", null);
    });
    if (names.includes(wanted) && wanted !== names[0]) find(wanted).click();
  };
  wait();
}
