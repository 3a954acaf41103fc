// The visitor's picture, one for the whole page: an example by name, or a file of one's own, made small in the browser before it is sent.
import { inAddress, keep } from "./link.js";
import { camera, drawing } from "./own_picture.js";
import { signal } from "./store.js";
import { errorParts, node, say, t } from "./text.js";

export const EXAMPLES = [..."0123456789"].map((digit) => `digit_${digit}`).concat("coat", "sneaker");
const FIRST = "digit_3";
const SIDE = 256; // as Python's MAX_SIDE
const MEGABYTES = 20; // of a file; decoding a larger one may take the browser down
const MOST_PIXELS = 50_000_000;
const given = inAddress("picture");

// {example: name} or {png: base64}, as Python's `Asked.picture` reads it. A link holds an example; a picture of one's own stays with its owner.
export const chosenPicture = signal({ example: EXAMPLES.includes(given) ? given : FIRST });
chosenPicture.subscribe(({ example }) => keep("picture", !example || example === FIRST ? null : example));

const nameOf = (example) => (example.startsWith("digit_") ? t("picker.digit", { digit: example.slice(-1) }) : t(`picker.${example}`));

// A control that shows and changes the picture; a page may have several, all of one mind.
export function pictureSource() {
  const thumbs = EXAMPLES.map((example) => {
    const button = node("button", { type: "button", className: "thumb", role: "radio", title: nameOf(example), dataset: { example } }, node("img", { src: `ddpm/examples/${example}.png`, alt: "" }));
    button.setAttribute("aria-label", nameOf(example));
    button.addEventListener("click", () => chosenPicture.set({ example }));
    return button;
  });
  const group = node("div", { className: "thumbs", role: "radiogroup" }, ...thumbs);
  group.setAttribute("aria-label", t("picker.label"));
  group.addEventListener("keydown", (event) => {
    const direction = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (!direction) return;
    event.preventDefault();
    const next = (thumbs.indexOf(document.activeElement) + direction + thumbs.length) % thumbs.length;
    chosenPicture.set({ example: EXAMPLES[next] });
    thumbs[next].focus();
  });
  const wrong = node("p", { className: "error-note", role: "alert", hidden: true });
  const refuse = (error) => {
    wrong.replaceChildren(...errorParts(error));
    wrong.hidden = false;
  };
  const take = (canvas) => {
    wrong.hidden = true;
    chosenPicture.set({ png: asPng(canvas) });
  };
  const file = node("input", { type: "file", accept: "image/*", className: "visually-hidden", tabIndex: -1 });
  file.setAttribute("aria-hidden", "true");
  const own = node("img", { className: "own-picture", alt: t("picker.upload"), hidden: true });
  const stays = say("p", "picker.stays", {}, "note");
  const upload = node("button", { type: "button", className: "small-button" }, t("picker.upload"));
  upload.addEventListener("click", () => file.click());
  file.addEventListener("change", async () => {
    const [chosen] = file.files;
    file.value = "";
    if (!chosen) return;
    if (chosen.size > MEGABYTES * 1e6) {
      refuse({ key: "error.file_size", values: { name: chosen.name, megabytes: Math.ceil(chosen.size / 1e6), limit: MEGABYTES } });
      return;
    }
    wrong.hidden = true;
    try {
      chosenPicture.set({ png: await asSmallPng(chosen) });
    } catch (error) {
      refuse(error.refusal ?? { key: "error.image.not_an_image", values: { name: chosen.name } });
    }
  });
  chosenPicture.subscribe(({ example, png }) => {
    thumbs.forEach((button, index) => {
      const checked = EXAMPLES[index] === example;
      button.setAttribute("aria-checked", String(checked));
      button.tabIndex = checked || (!example && index === 0) ? 0 : -1;
    });
    own.hidden = !png;
    stays.hidden = !png;
    if (png) own.src = `data:image/png;base64,${png}`;
  });
  const eye = camera(take, refuse);
  const pen = drawing(take);
  const label = node("span", { className: "field-label" }, t("picker.label"));
  return { element: node("div", { className: "control picture-source" }, label, group, node("div", { className: "row" }, upload, eye.button, pen.button, own), file, eye.panel, pen.panel, stays, wrong) };
}

// A file as a PNG of at most SIDE pixels a side, transparent parts laid on white, in base64.
async function asSmallPng(file) {
  const image = await load(file);
  const { naturalWidth: width, naturalHeight: height } = image;
  // Known from the file's head: nothing this large is decoded.
  if (width * height > MOST_PIXELS) throw Object.assign(new Error("too many pixels"), { refusal: { key: "error.image.too_many_pixels", values: { pixels: width * height, max_pixels: MOST_PIXELS } } });
  const scale = Math.min(1, SIDE / Math.max(width, height));
  const canvas = node("canvas", { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return asPng(canvas);
}

async function load(file) {
  const address = URL.createObjectURL(file);
  try {
    return await new Promise((resolve, reject) => {
      const image = new Image();
      image.addEventListener("load", () => resolve(image));
      image.addEventListener("error", reject);
      image.src = address;
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}

const asPng = (canvas) => canvas.toDataURL("image/png").split(",")[1];
