// Values that several parts of the page share; `noisedPicture` is what the noising tab last got from Python.

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

export const noisedPicture = signal(null);
