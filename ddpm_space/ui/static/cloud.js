// Points on the move: frames that Python computed, drawn in the browser, with a bar to play and to go through them.
import { axis } from "./axis.js";
import { node, number, t } from "./text.js";

const MARGIN = { top: 8, right: 10, bottom: 34, left: 46 };

// `height` is a share of the width. Returns {set, element}; set(scene) with scene:
//   frames: Float32Array with shape (F, N, 2), or (F, N, 1) which is drawn over a spread of heights
//   box: [x low, x high, y low, y high]; labels: {x, y}; role: colour of the points
//   time(frame): the words for a frame; layers: functions (draw, frame) called below the points; above: the same, above them
//   perSecond: frames a second when played; from: the frame to start at
export function cloud(root, { label, height = 0.75, playKey = "cloud.play", pauseKey = "cloud.pause" }) {
  const canvas = node("canvas", { role: "img", className: "cloud-canvas" });
  canvas.setAttribute("aria-label", label);
  const play = node("button", { type: "button", className: "small-button", dataset: { play: "" } }, t(playKey));
  const scrub = node("input", { type: "range", min: 0, step: 1, value: 0, className: "scrub" });
  scrub.setAttribute("aria-label", t("cloud.scrub"));
  const reading = node("output", { className: "scrub-label" });
  const bar = node("div", { className: "scrub-row" }, play, scrub, reading);
  root.classList.add("cloud");
  root.append(canvas, bar);
  let scene = null;
  let frame = 0;
  let running = 0;
  // Kept, as reading them from the page for every picture would make the browser lay it out or style it anew each time.
  let width = 0;
  let seen = true;
  const colours = new Map();
  const listeners = new Set();

  const colour = (name) => {
    if (!colours.has(name)) colours.set(name, getComputedStyle(root).getPropertyValue(`--${name}`).trim() || "#888");
    return colours.get(name);
  };

  const paint = () => {
    if (!scene || !width) return;
    const tall = Math.round(width * height);
    const ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(tall * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(tall * ratio);
      canvas.style.height = `${tall}px`;
    }
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = colour("card");
    context.fillRect(0, 0, width, tall);
    const [left, right, low, high] = scene.box;
    const x = axis({ min: left, max: right }, MARGIN.left, width - MARGIN.right);
    const y = axis({ min: low, max: high }, tall - MARGIN.bottom, MARGIN.top);
    const draw = { context, x: x.scale, y: y.scale, colour, width, height: tall, margin: MARGIN };
    context.save();
    context.beginPath();
    context.rect(MARGIN.left, MARGIN.top, width - MARGIN.left - MARGIN.right, tall - MARGIN.top - MARGIN.bottom);
    context.clip();
    (scene.layers ?? []).forEach((layer) => layer(draw, frame));
    points(draw, scene, frame);
    (scene.above ?? []).forEach((layer) => layer(draw, frame));
    context.restore();
    frameAxes(draw, x, y, scene.labels);
  };

  const go = (next) => {
    frame = next;
    scrub.value = next;
    paint();
    reading.textContent = scene?.time ? scene.time(frame) : "";
    scrub.setAttribute("aria-valuetext", reading.textContent);
    root.dataset.frame = String(frame);
    listeners.forEach((listener) => listener(frame));
  };

  const pause = () => {
    cancelAnimationFrame(running);
    running = 0;
    play.textContent = t(playKey);
  };

  const start = () => {
    const last = scene.frames.shape[0] - 1;
    const from = frame >= last ? 0 : frame;
    const begun = performance.now();
    let drawn = 0;
    play.textContent = t(pauseKey);
    const step = (now) => {
      const next = Math.min(last, Math.floor(from + (Math.max(0, now - begun) / 1000) * (scene.perSecond ?? 30)));
      drawn += 1;
      // What a benchmark reads: pictures drawn a second while playing.
      if (now > begun) root.dataset.fps = ((1000 * drawn) / (now - begun)).toFixed(1);
      if (next >= last || (seen && next !== frame)) go(next);
      else if (seen) paint();
      if (next >= last) pause();
      else running = requestAnimationFrame(step);
    };
    running = requestAnimationFrame(step);
  };

  play.addEventListener("click", () => (running ? pause() : scene && start()));
  scrub.addEventListener("input", () => {
    pause();
    go(Number(scrub.value));
  });
  new ResizeObserver((entries) => {
    width = Math.floor(entries.at(-1).contentRect.width);
    paint();
  }).observe(root);
  // Nobody looks at what is far from the screen: time goes on there, pictures do not.
  new IntersectionObserver((entries) => (seen = entries.at(-1).isIntersecting), { rootMargin: "200px" }).observe(canvas);
  // The colours follow light and dark.
  const recolour = () => {
    colours.clear();
    paint();
  };
  new MutationObserver(recolour).observe(document.body, { attributes: true, attributeFilter: ["class"] });

  return {
    element: root,
    onFrame: (listener) => listeners.add(listener),
    go,
    play: () => !running && scene && start(),
    pause,
    playing: () => running !== 0,
    set: (next) => {
      pause();
      scene = next;
      scrub.max = scene.frames.shape[0] - 1;
      bar.hidden = scene.frames.shape[0] < 2;
      go(Math.min(scene.from ?? 0, scene.frames.shape[0] - 1));
    },
  };
}

// What stands beside a cloud that plays, charts and formulas, is drawn a few times a second, the cloud itself with every picture; the frame it rests on
// is always drawn.
const PACE = 100;
export function paced(moving, draw, playing = moving.playing) {
  let last = 0;
  let due = 0;
  moving.onFrame((frame) => {
    clearTimeout(due);
    const now = () => {
      last = performance.now();
      draw(frame);
    };
    const wait = PACE - (performance.now() - last);
    if (!playing() || wait <= 0) now();
    else due = setTimeout(now, wait);
  });
}

function points({ context, x, y, colour }, { frames, role = "xt", box, size = 2.2 }, frame) {
  const [, count, depth] = frames.shape;
  const start = frame * count * depth;
  context.fillStyle = colour(role);
  context.globalAlpha = count > 400 ? 0.55 : 0.8;
  for (let index = 0; index < count; index += 1) {
    const across = frames[start + index * depth];
    // One number a point is drawn over a spread of heights that means nothing, so that points do not hide each other.
    const up = depth === 2 ? frames[start + index * depth + 1] : box[2] + (((index * 0.618034) % 1) * 0.9 + 0.05) * (box[3] - box[2]);
    context.fillRect(x(across) - size / 2, y(up) - size / 2, size, size);
  }
  context.globalAlpha = 1;
}

function frameAxes({ context, colour, width, height, margin }, x, y, labels) {
  context.strokeStyle = colour("line");
  context.fillStyle = colour("muted");
  context.font = "12px system-ui, sans-serif";
  context.strokeRect(margin.left, margin.top, width - margin.left - margin.right, height - margin.top - margin.bottom);
  context.textAlign = "center";
  for (const value of x.ticks(4)) context.fillText(number(value, 2), x.scale(value), height - margin.bottom + 14);
  if (labels?.x) context.fillText(labels.x, (margin.left + width - margin.right) / 2, height - 4);
  context.textAlign = "right";
  if (labels?.y) for (const value of y.ticks(4)) context.fillText(number(value, 2), margin.left - 4, y.scale(value) + 4);
  if (labels?.y) {
    context.save();
    context.translate(11, (margin.top + height - margin.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.textAlign = "center";
    context.fillText(labels.y, 0, 0);
    context.restore();
  }
}

// A layer: a picture of numbers (H, W), first row at the top, over the whole box; `role` at full strength where the number is 1.
export function heat({ values, shape }, box, role = "q") {
  const [height, width] = shape;
  const buffer = document.createElement("canvas");
  buffer.width = width;
  buffer.height = height;
  let painted = "";
  return ({ context, x, y, colour }) => {
    const tint = colour(role);
    if (painted !== tint) {
      painted = tint;
      const inner = buffer.getContext("2d");
      inner.clearRect(0, 0, width, height);
      const image = inner.createImageData(width, height);
      const [red, green, blue] = [1, 3, 5].map((place) => Number.parseInt(tint.slice(place, place + 2), 16));
      for (let index = 0; index < width * height; index += 1) {
        image.data.set([red, green, blue, Math.round(200 * Math.max(0, Math.min(1, values[index])))], index * 4);
      }
      inner.putImageData(image, 0, 0);
    }
    context.imageSmoothingEnabled = true;
    context.drawImage(buffer, x(box[0]), y(box[3]), x(box[1]) - x(box[0]), y(box[2]) - y(box[3]));
  };
}

// A layer: arrows (G, 4) of x, y, dx, dy in the units of the box.
export function arrows({ values, count }, role = "muted") {
  return ({ context, x, y, colour }) => {
    context.strokeStyle = colour(role);
    context.lineWidth = 1.2;
    context.beginPath();
    for (let index = 0; index < count; index += 1) {
      const [px, py, dx, dy] = values.subarray(index * 4, index * 4 + 4);
      const [fromX, fromY, toX, toY] = [x(px), y(py), x(px + dx), y(py + dy)];
      const angle = Math.atan2(toY - fromY, toX - fromX);
      context.moveTo(fromX, fromY);
      context.lineTo(toX, toY);
      for (const turn of [2.6, -2.6]) {
        context.moveTo(toX, toY);
        context.lineTo(toX + 4 * Math.cos(angle + turn), toY + 4 * Math.sin(angle + turn));
      }
    }
    context.stroke();
  };
}

// A layer: a curve y(x) given by two lists.
export function curve(across, up, role, { dashed = false } = {}) {
  return ({ context, x, y, colour }) => {
    context.strokeStyle = colour(role);
    context.lineWidth = 2;
    context.setLineDash(dashed ? [6, 4] : []);
    context.beginPath();
    across.forEach((value, index) => context[index ? "lineTo" : "moveTo"](x(value), y(up[index])));
    context.stroke();
    context.setLineDash([]);
  };
}
