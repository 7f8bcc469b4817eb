// Two models beside each other: figures, size, and how their configurations differ.
import { amount, el, fill, size } from "./dom.js";
import { get } from "./api.js";
import { lowerIsBetter, title, written } from "./vocabulary.js";

const PRIVATE = ["record", "logs", "run_name", "experiment_name"]; // differ always and tell nothing
const configurations = new Map();

export function drawComparison(place, pair) {
  if (pair.length < 2) return fill(place, pair.length ? el("p", { className: "note" }, "Tick a second one to compare.") : null);
  const [first, second] = [...pair].sort((a, b) => a.id - b.id);
  const shared = sharedSet(first, second);
  const own = [first, second].map((one) => (shared ? one.evaluations.find((found) => found.set_digest === shared) : one.evaluations.at(-1))?.figures ?? {});
  const names = [...new Set(own.flatMap((figures) => Object.keys(figures)))].filter((name) => own.every((figures) => typeof figures[name] === "number"));
  const differs = el("div", {});
  fill(place, el("div", { className: "card body", data: { testid: "comparison" } },
    el("h3", {}, `${first.name} ${first.version} and ${second.name} ${second.version}`),
    el("p", { className: shared ? "note" : "note failure" }, shared ? "Measured on the same images." : "Measured on different images: the figures cannot be compared."),
    el("div", { className: "scroll" }, table(first, second, names, own)), differs));
  return configured(differs, first, second);
}

const sharedSet = (first, second) => first.evaluations.map((one) => one.set_digest).find((digest) => second.evaluations.some((one) => one.set_digest === digest));
const head = (...words) => el("thead", {}, el("tr", {}, words.map((word, place) => el("th", { scope: "col", className: place ? "" : "text" }, word))));

function table(first, second, names, [a, b]) {
  const rows = names.map((name) => {
    const gain = (b[name] - a[name]) * (lowerIsBetter(name) ? -1 : 1);
    return el("tr", {}, el("td", { className: "text" }, title(name)), el("td", {}, written(name, a[name])), el("td", { className: gain > 0 ? "better" : gain < 0 ? "worse" : "" }, written(name, b[name]), gain ? el("span", { className: "unseen" }, gain > 0 ? " better" : " worse") : null));
  });
  const plain = (name, x, y) => el("tr", {}, el("td", { className: "text" }, name), el("td", {}, x), el("td", {}, y));
  return el("table", { className: "fit" }, head("", `${first.name} ${first.version}`, `${second.name} ${second.version}`),
    el("tbody", {}, rows, plain("Parameters", amount(first.parameters), amount(second.parameters)), plain("Size", size(first.bytes), size(second.bytes)),
      plain("Network", first.architecture, second.architecture), plain("Data", first.data_digest.slice(0, 12), second.data_digest.slice(0, 12))));
}

async function configured(place, first, second) {
  const hashes = [first, second].map((one) => one.configuration_sha256);
  if (hashes.includes(null)) return;
  const [a, b] = await Promise.all(hashes.map(configuration));
  const keys = [...new Set([...a.keys(), ...b.keys()])].filter((key) => a.get(key) !== b.get(key) && !PRIVATE.includes(key.split(".")[0]) && !key.endsWith(".logs"));
  fill(place, el("h3", {}, keys.length ? "What was set differently" : "Both were configured in the same way"),
    keys.length ? el("div", { className: "scroll" }, el("table", { className: "fit" }, el("tbody", {}, keys.map((key) => el("tr", {}, el("td", { className: "text mono" }, key), el("td", {}, a.get(key) ?? "–"), el("td", {}, b.get(key) ?? "–")))))) : null);
}

async function configuration(sha) {
  if (!configurations.has(sha)) configurations.set(sha, flat(await get(`/api/blobs/${sha}`, { text: true })));
  return configurations.get(sha);
}

// Dotted key → text of the value, from a YAML of nested keys as the project writes it; list items keep their order.
export function flat(text) {
  const found = new Map();
  const path = [];
  for (const line of text.split("\n")) {
    const item = /^( *)(- )?(?:([\w./-]+):)? ?(.*)$/.exec(line);
    if (!item || (!item[3] && !item[4])) continue;
    const [, indent, dash, key, value] = item;
    const depth = indent.length + (dash ? 1 : 0);
    while (path.length && path.at(-1).depth >= depth) path.pop();
    const dotted = [...path.map((one) => one.key), key].filter(Boolean).join(".");
    if (value && key) found.set(dotted, value);
    else if (value) found.set(dotted, [found.get(dotted), value].filter(Boolean).join(", "));
    else path.push({ depth, key });
  }
  return found;
}
