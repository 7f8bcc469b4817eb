// The models: figures, lineage, two beside each other, and what can be done with each.
import { get } from "./api.js";
import { amount, at, attempt, button, count, el, fill, hash, keyed, size, tag, when } from "./dom.js";
import { drawComparison } from "./comparison.js";
import { deploy } from "./deployments.js";
import { leading, title, written } from "./vocabulary.js";

export let models = [];
const open = new Set();
let ticked = [];
let whole = false; // whether all lines are shown
const LINES = 20;

// wanted: the numbers of those that are to be known however old they are.
export async function refreshModels(wanted) {
  const newest = await get("/api/models?limit=200");
  const older = wanted.filter((id) => id < (newest.at(-1)?.id ?? 0));
  models = [...newest, ...await Promise.all(older.map((id) => get(`/api/models/${id}`)))];
  drawModels();
}

function drawModels() {
  const place = at("models");
  if (!models.length) return fill(place, el("p", { className: "note", data: { testid: "no-models" } }, "No model yet."));
  if (!place.table) {
    place.head = el("thead", {});
    place.rows = el("tbody", {});
    place.table = el("div", { className: "scroll", tabindex: 0, "aria-label": "models" }, el("table", { data: { testid: "models" } }, place.head, place.rows));
    place.pair = el("div", { className: "body" });
    place.more = el("div", {});
    place.replaceChildren(place.table, place.more, place.pair);
  }
  ticked = ticked.filter((id) => models.some((one) => one.id === id));
  const names = columns();
  fill(place.head, el("tr", {}, el("th", { scope: "col", className: "text" }, el("span", { className: "unseen" }, "Compare")), el("th", { scope: "col", className: "text" }, "Model"), ["Hash", "Network"].map((word) => el("th", { scope: "col", className: "text wide" }, word)),
    el("th", { scope: "col", className: "wide" }, "Parameters"), el("th", { scope: "col" }, names.length > 1 ? "Figure" : title(names[0])), el("th", { scope: "col", className: "wide" }, "Made"), el("th", { scope: "col" }, el("span", { className: "unseen" }, "Actions"))));
  const shown = whole ? models : models.filter((one, line) => line < LINES || one.live || open.has(one.id) || ticked.includes(one.id));
  fill(place.more, whole || shown.length < models.length ? button(whole ? "Show fewer" : `Show all ${models.length}`, () => { whole = !whole; drawModels(); }, { kind: "small", "data-testid": "all-models", "data-keep": "all-models" }) : null);
  const rows = shown.flatMap((one) => (open.has(one.id) ? [{ key: one.id, one }, { key: `more ${one.id}`, one, more: true }] : [{ key: one.id, one }]));
  keyed(place.rows, rows, (row) => row.key, makeRow, (node, row) => fill(node, ...(row.more ? [el("td", { colspan: 8, className: "text wrap" }, details(row.one))] : cells(row.one, names.length > 1))));
  return show();
}

const makeRow = (row) => el("tr", row.more ? { className: "more" } : { data: { testid: "model", model: row.one.id } });
export const figuresOf = (model) => model.evaluations.at(-1)?.figures ?? {};

const columns = () => [...new Set(models.map((one) => leading(one.task)))]; // the figure by which each task is judged

// named: the tasks differ, so that each figure says which one it is.
function cells(model, named) {
  const figure = leading(model.task);
  const box = el("input", { type: "checkbox", "aria-label": `compare ${model.name} ${model.version}`, data: { tick: model.id, keep: `tick-${model.id}`, testid: "tick" } });
  box.addEventListener("change", () => tick(model.id, box.checked));
  return [
    el("td", { className: "text" }, box),
    el("td", { className: "text named" }, button(`${model.name} ${model.version}`, () => toggle(model.id), { kind: "small plain", "aria-expanded": String(open.has(model.id)), "data-keep": `open-${model.id}` }),
      model.live ? tag("live", "good") : model.pruned ? tag("files given up") : null),
    el("td", { className: "text wide" }, hash(model.file_sha256)),
    el("td", { className: "text wide" }, model.architecture),
    el("td", { className: "wide" }, amount(model.parameters)),
    el("td", {}, written(figure, figuresOf(model)[figure]), named ? el("small", {}, title(figure)) : null),
    el("td", { className: "wide" }, when(model.created)),
    el("td", {}, model.live || model.pruned ? "" : button("Set live", (event) => attempt(() => deploy(model, "live"), event.currentTarget), { kind: "small operator", "aria-label": `Set live: ${model.name} ${model.version}`, "data-testid": "deploy", "data-keep": `deploy-${model.id}` })),
  ];
}

function toggle(id) {
  open[open.has(id) ? "delete" : "add"](id);
  drawModels();
}

function tick(id, on) {
  ticked = on ? [...ticked, id].slice(-2) : ticked.filter((one) => one !== id);
  show();
}

// The ticks, and the two that are ticked beside each other.
function show() {
  for (const box of at("models").querySelectorAll("[data-tick]")) box.checked = ticked.includes(Number(box.dataset.tick));
  drawComparison(at("models").pair, ticked.map((id) => models.find((one) => one.id === id)));
}

// Where a model comes from, how it was measured, and what was decided about it.
function details(model) {
  const facts = [
    ["made by", model.worker ? `${model.actor}, job ${model.job_id}` : model.actor], ["made", when(model.created)], ["network", model.architecture], ["size", `${size(model.bytes)}, ${count(model.parameters)} parameters`],
    ["code", model.code_version], ["task", `${model.task}, ${model.classes.length} classes`], ["descends from", lineage(model)],
    ["file", hash(model.file_sha256)], ["weights", hash(model.weights_sha256)], ["data", hash(model.data_digest)], ["configuration", hash(model.configuration_digest)],
  ];
  return el("div", { className: "detail" },
    model.verdict ? el("p", {}, `${model.verdict.promote ? "Went live" : "Did not go live"}: ${model.verdict.why}`) : null,
    el("dl", { className: "facts" }, facts.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    ...model.evaluations.map(measured),
    model.live || model.pruned ? null : el("div", { className: "row" }, ["shadow", "canary"].map((how) => button(how === "shadow" ? "Let it watch as a shadow" : "Let it answer a share as canary", () => attempt(() => deploy(model, how)), { kind: "small operator", "data-testid": how, "data-keep": `${how}-${model.id}` }))));
}

function measured(found) {
  const figures = Object.entries(found.figures).filter(([, value]) => value !== null);
  return el("div", {}, el("p", { className: "note" }, `On ${count(found.images)} images of the ${found.split} part, set ${found.set_digest.slice(0, 12)}`),
    el("dl", { className: "facts" }, figures.map(([name, value]) => [el("dt", {}, title(name)), el("dd", {}, written(name, value))])));
}

function lineage(model) {
  const chain = [];
  let parent = model.parent_sha256;
  for (let depth = 0; parent && depth < 5; depth++) {
    const found = models.find((one) => one.file_sha256 === parent || one.weights_sha256 === parent);
    chain.push(found ? `${found.name} ${found.version}` : parent.slice(0, 12));
    parent = found?.parent_sha256;
  }
  return chain.length ? chain.join(" ← ") : "nothing: it was trained from the start";
}
