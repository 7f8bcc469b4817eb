// The queue: sweeps with their jobs, curves and lines while they train.
import { at, attempt, button, count, el, fill, keyed, tag, when, span } from "./dom.js";
import { get, post } from "./api.js";
import { Chart, FEW } from "./chart.js";
import { forget, linesOf, rowsOf } from "./reports.js";
import { called, isShare, lowerIsBetter, merit, title, written } from "./vocabulary.js";

export let jobs = [];
let models = [];
const open = new Set(); // jobs whose details are shown
const KIND = { queued: "", running: "busy", succeeded: "good", failed: "bad", dead: "bad", cancelled: "" };
const OPEN = ["queued", "running"];
const CHARTS = 3; // sweeps, from the newest on, whose curves are drawn over one another
const CURVES = 40; // of one such chart
const KNOWN = 200; // jobs, the newest, beside all that run
const LINES = 20; // of a sweep, where a person does not ask for all
const COLORS = ["first", "second", "third", "fourth"]; // of jobs, in turn; every other turn is dashed

export async function refreshJobs() {
  const [newest, running] = await Promise.all([get(`/api/jobs?limit=${KNOWN}`), get("/api/jobs?state=running&limit=200")]);
  jobs = [...newest, ...running.filter((job) => job.id < newest.at(-1).id)];
  drawJobs();
}

// Those that run, which is what changes while nothing begins or ends.
export async function refreshRunning() {
  const running = new Map((await get("/api/jobs?state=running&limit=200")).map((job) => [job.id, job]));
  jobs = jobs.map((job) => running.get(job.id) ?? job);
  drawJobs();
}

export function showModels(known) {
  models = known;
  drawJobs();
}

export function countJobs(counts) {
  const told = Object.entries(counts).map(([state, number]) => `${count(number)} ${state}`);
  fill(at("counts"), told.length ? told.join(", ") : "Nothing was started yet.");
}

const groupOf = (job) => (job.sweep_id === null ? "measurements" : `sweep ${job.sweep_id}`);

export function drawJobs() {
  const groups = new Map();
  for (const job of jobs) groups.set(groupOf(job), [...(groups.get(groupOf(job)) ?? []), job]);
  const list = [...groups].map(([name, own], place) => ({ name, jobs: [...own].reverse(), drawn: place < CHARTS }));
  if (!list.length) fill(at("jobs"), el("p", { className: "note", data: { testid: "no-jobs" } }, "No job yet: drop a grid above."));
  else if (!at("jobs").known) at("jobs").replaceChildren();
  if (list.length) keyed(at("jobs"), list, (group) => group.name, makeGroup, updateGroup);
}

function makeGroup(group) {
  const node = el("section", { className: "sweep", data: { testid: "sweep" } });
  node.head = el("header", {});
  node.chart = null;
  node.list = el("ul", { className: "list" });
  node.more = el("div", {});
  node.append(node.head, node.list, node.more);
  return node;
}

function updateGroup(node, group) {
  const going = group.jobs.filter((job) => OPEN.includes(job.state));
  const done = group.jobs.length - going.length;
  const name = group.name === "measurements" ? "Measurements of deployed models" : `${group.name[0].toUpperCase()}${group.name.slice(1)} for ${group.jobs[0].endpoint}`;
  const cut = jobs.length >= KNOWN && group.jobs[0].id === jobs.at(-1).id; // older ones are not here
  fill(node.head, el("h3", {}, name), el("div", { className: "row" }, el("span", { className: "note" }, cut ? `${done} of the newest ${group.jobs.length} done` : `${done} of ${group.jobs.length} done`),
    going.length > 1 ? button("Cancel all", (event) => attempt(() => cancelAll(going), event.currentTarget), { kind: "small operator", "data-testid": "cancel-all", "data-keep": "cancel-all" }) : null));
  const differing = differences(group.jobs);
  const shown = node.whole ? group.jobs : near(group.jobs);
  keyed(node.list, shown, (job) => job.id, makeJob, (own, job) => updateJob(own, job, differing));
  const words = node.whole ? "Show fewer" : `Show all ${group.jobs.length}`;
  fill(node.more, node.whole || shown.length < group.jobs.length ? button(words, () => { node.whole = !node.whole; drawJobs(); }, { kind: "small", "data-testid": "all-jobs", "data-keep": "all-jobs" }) : null);
  if (group.drawn) overlay(node, group.jobs);
}

const cancelAll = (going) => (going[0].sweep_id === null ? Promise.all(going.map((job) => post(`/api/jobs/${job.id}/cancel`))) : post(`/api/sweeps/${going[0].sweep_id}/cancel`));

// Those around the first that has not ended, all that run, and what is unfolded.
function near(own) {
  const next = own.findIndex((job) => OPEN.includes(job.state));
  const first = Math.max(0, Math.min(next < 0 ? own.length : next - LINES / 2, own.length - LINES));
  return own.filter((job, place) => (place >= first && place < first + LINES) || job.state === "running" || open.has(job.id));
}

// All trainings of a sweep over one another, by their figure of merit.
async function overlay(node, own) {
  const trained = own.filter((job) => job.kind === "train" && job.figures).slice(-CURVES);
  if (own.length < 2 || !trained.length) return;
  const name = merit(trained[0].figures);
  if (!name) return;
  if (!node.chart) {
    node.chart = new Chart(`${title(name.replace("val/", ""))}, validation`, { share: isShare(name) });
    node.list.before(node.chart.node);
  }
  const rows = await Promise.all(trained.map((job) => rowsOf(job)));
  const drawn = trained.map((job, place) => ({ job, points: points(rows[place], name) }));
  const best = bestOf(drawn, name);
  node.chart.update(drawn.map((one) => ({ name: `job ${one.job.id}`, points: one.points, ...look(one.job, one === best, drawn.length <= FEW) })));
}

// What runs has a colour of its own, and so have all where they are few; the best of what ended has the accent.
function look({ id, state }, best, few) {
  if (best && state !== "running") return { color: "accent" };
  if (!few && state !== "running") return { color: "line" };
  return { color: COLORS[id % COLORS.length], dashed: Math.floor(id / COLORS.length) % 2 === 1 };
}

function bestOf(series, name) {
  const last = (one) => one.points.at(-1)?.[1];
  const found = series.filter((one) => one.points.length).sort((a, b) => (lowerIsBetter(name) ? last(a) - last(b) : last(b) - last(a)));
  return found[0];
}

const points = (rows, name) => rows.filter((row) => typeof row[name] === "number").map((row) => [row.step ?? row.epoch ?? 0, row[name]]);
const keyOf = (override) => override.slice(0, override.indexOf("="));

// The overrides that are not the same in all jobs of a sweep; of a single job all of them.
function differences(own) {
  if (own.length < 2) return null;
  const seen = new Map();
  for (const job of own) for (const line of job.overrides) seen.set(keyOf(line), (seen.get(keyOf(line)) ?? new Set()).add(line));
  return new Set([...seen].filter(([, values]) => values.size > 1).map(([key]) => key));
}

function makeJob(job) {
  const node = el("li", { className: "job", data: { testid: "job", job: job.id } });
  node.toggle = el("button", { type: "button", className: "number", "aria-expanded": "false", on: { click: () => toggle(node, job.id) } }, `job ${job.id}`);
  node.line = el("div", { className: "line" });
  node.settings = el("div", { className: "words" });
  node.figure = el("div", { className: "figure" });
  node.state = el("div", { className: "row" });
  node.line.append(node.toggle, node.settings, node.figure, node.state);
  node.append(node.line);
  return node;
}

function updateJob(node, job, differing) {
  node.dataset.state = job.state;
  const lines = job.kind === "train" ? job.overrides.filter((line) => !differing || differing.has(keyOf(line))) : [`measures=model ${job.subject_id}`];
  fill(node.settings, ...lines.map((line) => el("span", { title: line }, `${spoken(keyOf(line))} `, el("b", {}, line.slice(line.indexOf("=") + 1)))),
    job.state === "failed" ? el("p", { className: "failure", data: { testid: "why" } }, reason(job.error)) : null);
  const name = merit(job.figures);
  fill(node.figure, ...(name ? [written(name, job.figures[name]), el("small", {}, progress(job))] : []));
  fill(node.state, tag(job.cancel_requested && job.state === "running" ? "stopping" : job.state, KIND[job.state]), ...acts(job));
  if (open.has(job.id)) detail(node, job);
}

// The last line, which names it; what Python calls an error is nothing to who reads it here.
const reason = (error) => (error ?? "").trim().split("\n").at(-1).replace(/^(error|[\w.]+(Error|Exception|BadImage)): /, "");

const spoken = (key) => called(key) ?? key.split(/[./]/).at(-1).toLowerCase().replaceAll("_", " ");
const progress = (job) => (typeof job.figures.epoch === "number" ? `after epoch ${job.figures.epoch + 1}` : `step ${job.figures.step ?? "–"}`);

function acts(job) {
  const place = (path) => `${path === "priority" ? "first" : "turn"}-${job.id}`; // Cancel and Try again stand in the same one
  const act = (label, path, json) => button(label, (event) => attempt(() => post(`/api/jobs/${job.id}/${path}`, json), event.currentTarget), { kind: "small operator", "aria-label": `${label}: job ${job.id}`, "data-testid": path, "data-keep": place(path), "data-turn": place(path) });
  if (job.state === "queued") return [act("First", "priority", { priority: Math.min(100, highest() + 1) }), act("Cancel", "cancel")];
  if (job.state === "running") return job.cancel_requested ? [] : [act("Cancel", "cancel")];
  return ["failed", "cancelled", "dead"].includes(job.state) ? [act("Try again", "retry")] : [];
}

const highest = () => Math.max(0, ...jobs.filter((job) => job.state === "queued").map((job) => Math.min(job.priority, 99)));

function toggle(node, number) {
  const shown = !open.has(number);
  open[shown ? "add" : "delete"](number);
  node.toggle.setAttribute("aria-expanded", String(shown));
  if (shown) return detail(node, jobs.find((job) => job.id === number));
  node.detail?.remove();
  node.detail = null;
  forget(number);
  return undefined;
}

// Curves, lines, and how it ended.
async function detail(node, job) {
  if (!node.detail) {
    node.detail = el("div", { className: "detail", data: { testid: "job-detail" } });
    node.facts = el("p", { className: "note" });
    node.curves = el("div", { className: "charts" });
    node.charts = new Map();
    node.log = el("pre", { className: "log", tabindex: 0, "aria-label": `lines of job ${job.id}`, data: { testid: "log" } });
    node.detail.append(node.facts, node.curves, node.log);
    node.append(node.detail);
  }
  fill(node.facts, ...ending(job));
  const [rows, lines] = await Promise.all([rowsOf(job), linesOf(job)]);
  if (!node.detail) return;
  curves(node, rows);
  write(node.log, [...lines, job.error ? `\n${job.error}` : ""].join("\n").trim() || "no line yet");
}

function ending(job) {
  const model = models.find((one) => one.id === job.model_id);
  const facts = [`priority ${job.priority}`, job.attempt ? `attempt ${job.attempt} of ${job.max_attempts}` : "", job.worker ? `on ${job.worker}` : ""].filter(Boolean);
  const time = job.started ? [" · started ", when(job.started), job.ended ? ` · took ${span(job.ended - job.started)}` : ""] : [" · waits since ", when(job.created)];
  return [facts.join(" · "), ...time, model ? ` · became ${model.name} ${model.version}${model.verdict ? `: ${model.verdict.why}` : ""}` : ""];
}

// Stays at the end where the reader is at the end.
function write(log, text) {
  if (log.textContent === text) return;
  const end = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  log.textContent = text;
  if (end) log.scrollTop = log.scrollHeight;
}

// One chart a figure, training and validation over one another.
function curves(node, rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter((key) => key.includes("/"));
  const figures = [...new Set(names.map((key) => key.slice(key.indexOf("/") + 1)))];
  for (const figure of figures) {
    if (!node.charts.has(figure)) {
      node.charts.set(figure, new Chart(title(figure), { share: isShare(figure) }));
      node.curves.append(node.charts.get(figure).node);
    }
    node.charts.get(figure).update(["train", "val"].filter((stage) => names.includes(`${stage}/${figure}`))
      .map((stage) => ({ name: stage, color: stage, points: points(rows, `${stage}/${figure}`) })));
  }
}
