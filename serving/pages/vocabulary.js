// What figures are called and how they are written; the server tells it once.
import { get } from "./api.js";
import { percent, short } from "./dom.js";

export let words = { short: {}, options: {}, titles: {}, leading: {}, lower_is_better: [], plain_numbers: [] };
export const learn = async () => { words = await get("/api/words"); };

const bare = (name) => name.split("/").at(-1) || name;
const spoken = (name) => words.titles[name] ?? name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
export const title = (name) => (name.includes("/") ? `${spoken(bare(name))} (${name.slice(0, name.lastIndexOf("/"))})` : spoken(name));
export const isShare = (name) => bare(name) in words.titles && !words.plain_numbers.includes(bare(name));
export const lowerIsBetter = (name) => words.lower_is_better.includes(bare(name)) || bare(name) === "loss";
export const written = (name, value) => (value === null || value === undefined ? "–" : isShare(name) ? percent(value) : short(value));
export const leading = (task) => words.leading[task] ?? "accuracy";

// What a person calls a key of the configuration: learning rate, not optimizers.lr; undefined where there is no short name.
export const called = (key) => Object.keys(words.short).find((name) => words.short[name] === key)?.toLowerCase().replaceAll("_", " ");

// The figure of merit among those that a training reported: val/accuracy, val/mae, … or its loss.
export function merit(figures) {
  const names = new Set(Object.values(words.leading));
  const found = Object.keys(figures ?? {}).filter((key) => key.startsWith("val/"));
  return found.find((key) => names.has(bare(key))) ?? found.find((key) => key !== "val/loss") ?? found[0] ?? null;
}
