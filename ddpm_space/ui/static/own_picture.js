// Two more ways to a picture of one's own: one frame of a camera, and a drawing. Each is a button and the panel that it opens; take(canvas) gets the picture.
import { node, say, t } from "./text.js";

const SIDE = 256;
const PENS = ["fine", "middle", "broad"];
const WIDTHS = { fine: 8, middle: 18, broad: 34 };

function opener(key, panel) {
  const button = node("button", { type: "button", className: "small-button", ariaExpanded: "false", dataset: { own: key } }, t(`picker.${key}`));
  const open = (wanted) => {
    panel.hidden = !wanted;
    button.ariaExpanded = String(wanted);
  };
  return { button, open };
}

export function camera(take, refuse) {
  const video = node("video", { muted: true, playsInline: true, ariaLabel: t("picker.camera") });
  const shoot = node("button", { type: "button", className: "small-button" }, t("picker.shoot"));
  const leave = node("button", { type: "button", className: "small-button" }, t("picker.close"));
  const panel = node("div", { className: "own-panel", hidden: true }, video, node("div", { className: "row" }, shoot, leave));
  const { button, open } = opener("camera", panel);
  let stream = null;

  const close = () => {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    video.srcObject = null;
    open(false);
  };
  button.addEventListener("click", async () => {
    if (stream) return close();
    try {
      // Browsers offer the camera to https pages and to this machine's own address alone.
      if (!navigator.mediaDevices) throw new DOMException("", "NotFoundError");
      button.disabled = true;
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
      video.srcObject = stream;
      open(true);
      await video.play();
    } catch (error) {
      close();
      refuse({ key: error.name === "NotAllowedError" ? "error.camera.refused" : "error.camera.absent", values: {} });
    }
    button.disabled = false;
  });
  shoot.addEventListener("click", () => {
    const side = Math.min(video.videoWidth, video.videoHeight);
    if (!side) return;
    const canvas = node("canvas", { width: SIDE, height: SIDE });
    const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
    canvas.getContext("2d").drawImage(video, left, top, side, side, 0, 0, SIDE, SIDE);
    close();
    take(canvas);
  });
  leave.addEventListener("click", close);
  return { button, panel };
}

// White on black, as the digits are.
export function drawing(take) {
  const canvas = node("canvas", { className: "drawing", width: SIDE, height: SIDE, role: "img", ariaLabel: t("picker.draw_here") });
  const context = canvas.getContext("2d");
  const size = node("select", { className: "list", ariaLabel: t("picker.pen") }, ...PENS.map((name) => node("option", { value: name }, t(`picker.pen_${name}`))));
  size.value = "middle";
  const clear = node("button", { type: "button", className: "small-button" }, t("picker.clear"));
  const panel = node("div", { className: "own-panel", hidden: true }, canvas, node("div", { className: "row" }, size, clear), say("p", "picker.draw_note", {}, "note"));
  const { button, open } = opener("draw", panel);
  const wipe = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, SIDE, SIDE);
  };
  wipe();
  button.addEventListener("click", () => open(panel.hidden));
  clear.addEventListener("click", wipe);
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
  };
  const stroke = (event) => {
    const here = at(event);
    Object.assign(context, { strokeStyle: "#fff", lineCap: "round", lineJoin: "round", lineWidth: WIDTHS[size.value] });
    context.beginPath();
    context.moveTo(...last);
    context.lineTo(...here);
    context.stroke();
    last = here;
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = at(event);
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => last && stroke(event));
  canvas.addEventListener("pointerup", () => {
    if (last) take(canvas);
    last = null;
  });
  canvas.addEventListener("pointercancel", () => {
    last = null;
  });
  return { button, panel };
}
