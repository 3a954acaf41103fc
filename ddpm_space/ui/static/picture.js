// Pictures: base64 arrays from Python -> typed arrays -> canvases with square pixels.
import { node, say, tex } from "./text.js";

const TYPES = { float64: Float64Array, float32: Float32Array, uint8: Uint8Array };

export function decode({ dtype, shape, b64 }) {
  const bytes = Uint8Array.from(atob(b64), (character) => character.charCodeAt(0));
  const values = new TYPES[dtype](bytes.buffer);
  values.shape = shape;
  return values;
}

// -1 is black, 1 is white; what lies outside is clipped, as no screen can show it.
const toByte = (value) => Math.round((Math.min(1, Math.max(-1, value)) + 1) * 127.5);

// Paint (C, H, W) numbers; `range` is the value shown as white.
export function paintPlanes(canvas, values, [channels, height, width], range = 1) {
  const plane = height * width;
  paint(canvas, height, width, (pixel, channel) => toByte(values[(channels === 1 ? 0 : channel) * plane + pixel] / range));
}

// Paint a sheet of images (N, H, W[, 3]) of bytes, `columns` wide, one empty pixel between them.
export function paintSheet(canvas, bytes, [count, height, width, depth = 1], columns, offset = 0) {
  const rows = Math.ceil(count / columns);
  const sheetHeight = rows * (height + 1) - 1;
  const sheetWidth = columns * (width + 1) - 1;
  canvas.width = sheetWidth;
  canvas.height = sheetHeight;
  const context = canvas.getContext("2d");
  for (let index = 0; index < count; index += 1) {
    const image = context.createImageData(width, height);
    const start = offset + index * height * width * depth;
    for (let pixel = 0; pixel < height * width; pixel += 1) {
      for (let channel = 0; channel < 3; channel += 1) image.data[pixel * 4 + channel] = bytes[start + pixel * depth + (depth === 3 ? channel : 0)];
      image.data[pixel * 4 + 3] = 255;
    }
    context.putImageData(image, (index % columns) * (width + 1), Math.floor(index / columns) * (height + 1));
  }
}

function paint(canvas, height, width, value) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  for (let pixel = 0; pixel < height * width; pixel += 1) {
    for (let channel = 0; channel < 3; channel += 1) image.data[pixel * 4 + channel] = value(pixel, channel);
    image.data[pixel * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

// A picture with its symbol and a few words: {figure, canvas}. `role` colours its frame.
export function tile({ role, symbol, textKey, values }) {
  const canvas = node("canvas", { role: "img", width: 28, height: 28 });
  const words = textKey ? say("span", textKey, values, "tile-words") : null;
  canvas.setAttribute("aria-label", words ? words.textContent : symbol.replace(/\\[a-zA-Z]+/g, ""));
  const caption = node("figcaption", {}, tex(node("span", { className: "tile-symbol" }), symbol), words);
  return { figure: node("figure", { className: `tile role-${role}` }, canvas, caption), canvas };
}

// One summand of a picture equation: a number times a picture. Without a role there is no number.
export function term({ figure }, role = null) {
  const weight = role ? node("span", { className: `coefficient role-${role}` }) : null;
  return { element: node("div", { className: "term" }, weight, figure), weight };
}

export const sign = (character) => node("span", { className: "sign" }, character);
