// A link restores the page: every setting that is not at its default stands in the address, beside the language and the open tab.
import { signal } from "./store.js";

const QUIET = 250; // milliseconds; browsers refuse addresses that change many times a second
const given = new URLSearchParams(location.search);
const current = new Map();
let timer = 0;

function write() {
  const address = new URL(location.href);
  for (const [key, text] of current) {
    if (text === null) address.searchParams.delete(key);
    else address.searchParams.set(key, text);
  }
  history.replaceState(history.state, "", address);
}

export function keep(key, text) {
  current.set(key, text);
  clearTimeout(timer);
  timer = setTimeout(write, QUIET);
}

// The address as it will be, without waiting for the quiet.
export function address() {
  clearTimeout(timer);
  write();
  return location.href;
}

export const inAddress = (key) => given.get(key);

// A setting: a signal whose first value is the address's, if `read` accepts it (returns other than undefined), else `initial`.
export function setting(key, initial, read = (text) => text, toText = String) {
  const text = inAddress(key);
  const found = text === null ? undefined : read(text);
  const value = signal(found === undefined ? initial : found);
  value.subscribe((now) => {
    const written = toText(now);
    keep(key, written === toText(initial) ? null : written);
  });
  return value;
}
