// Values that several panels share: the step t of the noising tab, and the picture that is being noised.

export function signal(initial) {
  let current = initial;
  const listeners = new Set();
  return {
    get value() {
      return current;
    },
    set(value) {
      if (value === current) return;
      current = value;
      listeners.forEach((listener) => listener(value));
    },
    subscribe(listener) {
      listeners.add(listener);
      if (current !== null) listener(current);
    },
  };
}

export const step = signal(null);
export const noisedPicture = signal(null);

// Gradio's slider owns t; moving its range input is what a hand would do, and Gradio sees it.
export function moveSlider(id, value) {
  const range = document.querySelector(`#${id} input[type="range"]`);
  if (!range || Number(range.value) === value) return;
  const setter = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
  setter.call(range, String(value));
  range.dispatchEvent(new Event("input", { bubbles: true }));
}
