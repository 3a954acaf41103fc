// The model that the visitor chose, for every tab; "" is the page's own. It stands in the address, and goes with every run.
import { setting } from "./link.js";
import { signal } from "./store.js";

export const chosenModel = setting("model", "");

// What Python said about it: null until it is there.
export const modelInfo = signal(null);
