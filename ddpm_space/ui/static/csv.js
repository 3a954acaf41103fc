// Tables to take along as CSV files, made here from what a run sent: UTF-8, one header line, numbers written so that they read back to the same float64.
import { offer } from "./downloads.js";
import { node, say, t } from "./text.js";

function field(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// columns: {name: values}, all of one length; what is not known is null and becomes an empty field.
export function csv(columns) {
  const lists = Object.values(columns);
  const rows = Array.from({ length: lists[0].length }, (_, row) => lists.map((list) => field(list[row])));
  return [Object.keys(columns), ...rows].map((row) => `${row.join(",")}\r\n`).join("");
}

// The name of a file: parts that no system of files minds.
export const fileName = (...parts) => `${parts.map((part) => String(part).replace(/[^A-Za-z0-9._-]+/g, "-")).join("_")}.csv`;

// A button for the table of a run: {element, show(make)}; make() returns {name, columns}, null as long as there is nothing to save.
export function csvButton() {
  const status = node("span", { className: "note", role: "status" });
  const button = node("button", { type: "button", className: "small-button", dataset: { kind: "csv" } }, t("downloads.csv"));
  const element = node("div", { className: "row downloads", hidden: true }, button, status);
  let make = null;
  button.addEventListener("click", () => {
    const { name, columns } = make();
    const bytes = new TextEncoder().encode(csv(columns));
    offer(name, bytes, "text/csv");
    status.replaceChildren(say("span", "downloads.saved", { name, kilobytes: Math.ceil(bytes.length / 1000) }));
  });
  return {
    element,
    show: (next) => {
      make = next;
      element.hidden = !next;
      status.replaceChildren();
    },
  };
}
