// The classic mistakes: the right chain and the wrong one side by side, the damage in numbers, both codes, and the check that catches it, run now.
import { extent } from "../axis.js";
import { chart } from "../chart.js";
import { cloud } from "../cloud.js";
import { choice, seed } from "../controls.js";
import { lab, runner } from "../lab.js";
import { decode } from "../picture.js";
import { node, number, rich, say, t, withError } from "../text.js";
import { dots } from "./plane.js";

const MISTAKES = [
  "none",
  "variance_as_std",
  "std_as_variance",
  "variance_as_std_forward",
  "off_by_one",
  "noise_at_the_last_step",
  "beta_of_the_full_chain",
  "missing_root",
  "missing_root_in_x_0_hat",
  "alpha_for_alpha_bar",
  "prior_never_reached",
];
const SIDES = ["right", "wrong"];
const BOX = [-2.2, 2.8, -2.2, 2.8];
const SECONDS = 4;
const LEAST = 1e-3; // of the chart's logarithmic axis
const MOST = 1e6; // stands for what is not finite

export function mistakes(root, parts) {
  const controls = {
    mistake: choice("mistakes.mistake", MISTAKES, "off_by_one"),
    world: choice("mistakes.world", ["suited", "roll", "cloud"], "suited"),
    seed: seed("mistakes.seed"),
  };
  const checked = checking(root, parts, () => ({ mistake: controls.mistake.setting.value }));
  controls.mistake.setting.subscribe((now) => checked.show(now !== "none"));
  controls.check = checked.element;
  lab(root, "mistakes", { controls, build: (stage) => build(stage, checked) });
  return checked.take;
}

function build(stage, checked) {
  const reason = node("p", { className: "verdict" });
  const sides = Object.fromEntries(SIDES.map((name) => [name, side(name)]));
  const verdict = node("p", { className: "damage" });
  const note = node("p", { className: "note" });
  const table = node("div", { className: "table-holder" });
  const plot = node("div", { className: "wide-chart" });
  const codes = node("div", { className: "twin-clouds codes" });
  stage.append(reason, node("div", { className: "twin-clouds" }, ...SIDES.map((name) => sides[name].element)), verdict, note, table, plot, codes, checked.result);
  const draw = chart(plot);
  let at = -1;
  // One bar moves both: the same frame of both chains stands side by side.
  SIDES.forEach((name, index) =>
    sides[name].points.onFrame((frame) => {
      if (frame === at) return;
      at = frame;
      const other = sides[SIDES[1 - index]];
      if (!other.element.hidden) other.points.go(frame);
    }),
  );

  return (answer) => {
    const { right, wrong } = answer;
    checked.forget(answer.mistake);
    if (wrong) rich(reason, answer.reason[window.ddpm.language]);
    else reason.replaceChildren(say("span", "mistakes.right_alone", { steps: answer.steps }));
    sides.wrong.element.hidden = !wrong;
    at = -1;
    for (const name of SIDES) if (answer[name]) fillSide(sides[name], answer, answer[name]);
    note.replaceChildren(say("span", answer.process === "forward" ? "mistakes.judged_middle" : "mistakes.judged_end", { particles: answer.particles }));
    if (wrong?.outside) note.append(" ", say("span", "mistakes.outside", { percent: number(100 * wrong.outside, 3) }, "warning"));
    verdict.hidden = !wrong;
    if (wrong) showDamage(verdict, answer.damage, answer.measure);
    table.replaceChildren(numbersTable(answer));
    draw(distances(answer, right, wrong));
    codes.replaceChildren(...(wrong ? SIDES.map((name) => code(name, answer)) : []));
    // Noising ends in noise, right or wrong: there the judged frame says more than the last.
    if (answer.process === "reverse" && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      sides.right.points.go(0);
      sides.right.points.play();
    }
  };
}

function side(name) {
  const holder = node("div", { className: "square-cloud" });
  const element = node("div", { dataset: { side: name } }, say("h3", `mistakes.${name}`), holder);
  return { element, points: cloud(holder, { label: t(`mistakes.${name}_picture`), height: 0.975 }) };
}

function fillSide({ points }, answer, found) {
  const frames = decode(found.frames);
  const alphaBar = decode(answer.alpha_bar);
  const data = decode(answer.points);
  const total = frames.shape[0] - 1;
  points.set({
    frames,
    box: BOX,
    labels: { x: t("plane.x"), y: t("plane.y") },
    role: "xt",
    time: (frame) => t("mistakes.frame", { step: frame, total, value: number(alphaBar[frame], 3) }),
    layers: [(draw) => dots(draw, data)],
    perSecond: total / SECONDS,
    from: answer.judged,
  });
}

function showDamage(verdict, damage, measure) {
  const known = damage.value !== null;
  const ratio = known ? damage.value / damage.se : Infinity;
  const value = known ? withError(damage.value, damage.se) : "∞";
  verdict.replaceChildren(say("span", Math.abs(ratio) >= 3 ? "mistakes.damage" : "mistakes.small_damage", { value, ratio: number(ratio, 2) }));
  Object.assign(verdict.dataset, { quantity: "damage", exact: String(damage.value), se: String(damage.se), measure });
}

function numbersTable({ right, wrong, damage, measure }) {
  const head = node("tr", {}, say("th", "mistakes.measured"), say("th", "mistakes.right"), ...(wrong ? [say("th", "mistakes.wrong"), say("th", "mistakes.difference")] : []));
  const cell = (found, label, name) => {
    const made = node("td", { dataset: { label: t(label), quantity: name } }, found ? (found.value === null ? "∞" : withError(found.value, found.se)) : "–");
    made.dataset.exact = String(found?.value ?? "");
    return made;
  };
  const rows = ["distance", "nearest"]
    .filter((name) => right[name])
    .map((name) => {
      const cells = [cell(right[name], "mistakes.right", `right_${name}`)];
      if (wrong) cells.push(cell(wrong[name], "mistakes.wrong", `wrong_${name}`), cell(name === measure ? damage : null, "mistakes.difference", `difference_${name}`));
      return node("tr", {}, say("th", `mistakes.${name}`), ...cells);
    });
  return node("table", { className: "data" }, node("thead", {}, head), node("tbody", {}, ...rows));
}

function distances(answer, right, wrong) {
  const line = (found, name, role, dashed) => ({ name: t(`mistakes.${name}`), role, dashed, y: Array.from(decode(found.far), (value) => (Number.isFinite(value) ? value : MOST)) });
  const lines = [line(right, "right", "q", false), ...(wrong ? [line(wrong, "wrong", "eps", true)] : [])];
  const [low, high] = extent(lines.flatMap((one) => one.y));
  // The distance of two equal laws is estimated around 0, below it too: only great damage needs a logarithm.
  const log = high > 2;
  return {
    title: t("mistakes.curve"),
    x: { min: 0, max: answer.steps, label: t("mistakes.frame_axis"), symbol: "k" },
    y: { min: log ? LEAST : Math.min(0, 1.1 * low), max: Math.max(0.02, 1.1 * high), label: t("mistakes.curve_axis"), log },
    lines,
    marker: answer.judged,
    height: 220,
  };
}

function code(name, { codes, member }) {
  const text = node("pre", { className: "card-code", tabIndex: 0 }, node("code", {}, codes[name]));
  text.setAttribute("aria-label", `${t(`mistakes.${name}`)}: ${member}`);
  return node("div", { dataset: { code: name } }, say("h3", `mistakes.${name}`), say("p", "mistakes.code", { member }, "note"), text);
}

// The check, run in Python with the mistake planted: its button for the controls, and where its rows appear.
function checking(root, parts, chosen) {
  const result = node("div", { className: "check-result", role: "status" });
  let shown = null;
  const run = runner(root, parts, {
    runKey: "mistakes.check",
    stopKey: "mistakes.check_stop",
    chosen,
    before: () => {
      parts.fail(null);
      result.replaceChildren(say("p", "mistakes.checking", {}, "note"));
    },
  });
  const element = node("div", { className: "control" }, run.element, say("p", "mistakes.check_note", {}, "note"));
  const take = (payload) => {
    if (!run.took(payload)) return;
    shown = payload.mistake;
    const head = node("tr", {}, ...["mistakes.equation", "mistakes.right", "mistakes.wrong"].map((key) => say("th", key)));
    if (payload.rows.length) result.replaceChildren(node("table", { className: "data" }, node("thead", {}, head), node("tbody", {}, ...payload.rows.map(checkRow))));
    result.dataset.rows = String(payload.rows.length);
  };
  return {
    element,
    result,
    show: (on) => {
      element.hidden = !on;
    },
    // What was found for another mistake says nothing about this one.
    forget: (mistake) => mistake !== shown && !["waiting", "running"].includes(root.dataset.phase) && result.replaceChildren(),
    take: Object.assign(take, {
      failed: () => {
        run.failed();
        result.replaceChildren();
      },
    }),
  };
}

function checkRow(row) {
  const cell = (name, error, tolerance, word) => {
    const verdict = say("strong", word, {}, word === "mistakes.passed" || word === "mistakes.caught" ? "card-verdict passed" : "card-verdict failed");
    const figures = error === null ? say("span", "mistakes.broke") : say("span", "mistakes.error", { value: number(error, 3), tolerance: number(tolerance, 3) });
    const made = node("td", { dataset: { label: t(`mistakes.${name}`), quantity: `check_${name}`, exact: String(error), verdict: word } }, verdict, node("br"), figures);
    return made;
  };
  return node(
    "tr",
    { dataset: { equation: row.id } },
    node("th", {}, node("code", {}, row.id)),
    cell("right", row.right, row.right_tolerance, row.right_passed ? "mistakes.passed" : "mistakes.not_caught"),
    cell("wrong", row.wrong, row.wrong_tolerance, row.caught ? "mistakes.caught" : "mistakes.not_caught"),
  );
}
