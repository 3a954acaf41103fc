// The model that the visitor chose, for every tab; "" is the page's own. It stands in the address, and goes with every run.
import { setting } from "./link.js";

export const chosenModel = setting("model", "");
