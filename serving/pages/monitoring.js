// Load, latency, confidence, class shares and drift of each endpoint, as the server sees them.
import { at, count, el, fill, keyed, percent, short, span, tag } from "./dom.js";
import { get } from "./api.js";
import { Chart } from "./chart.js";

const PAUSE = 15_000; // ms between two looks
const SPANS = [["1 hour", 1], ["1 day", 24], ["1 week", 168]];
const POINTS = 60;
const MOST = 8; // classes that are drawn

let names = [];
let hours = 24;
let asked = 0;
let under = false;

export function watchEndpoints(live) {
  const fresh = live.join() !== names.join();
  names = live;
  if (fresh || Date.now() - asked > PAUSE) look();
}

setInterval(() => { if (!document.hidden && names.length && Date.now() - asked > PAUSE) look(); }, 1000);

async function look() {
  if (under) return;
  under = true;
  asked = Date.now();
  try {
    const found = await Promise.all(names.map(async (name) => [await get(`/api/monitoring/${name}?hours=${hours}&points=${POINTS}`), await get(`/api/deployments/${name}/candidates`)]));
    draw(found.map(([one, candidates]) => ({ ...one, candidates })));
  } catch { /* shown as reconnecting; looked at again */ } finally {
    under = false;
  }
}

function draw(found) {
  at("watch").hidden = !found.length;
  const place = at("monitoring");
  if (!place.list) {
    place.spans = el("div", { className: "buttons", role: "group", "aria-label": "how far back" });
    place.list = el("div", { className: "body" });
    place.append(place.spans, place.list);
  }
  fill(place.spans, ...SPANS.map(([name, own]) => el("button", { type: "button", "aria-pressed": String(own === hours), data: { keep: name, hours: own } }, name)));
  place.spans.onclick = (event) => {
    const pressed = event.target.closest("[data-hours]");
    if (!pressed) return;
    hours = Number(pressed.dataset.hours);
    look();
  };
  keyed(place.list, found, (one) => one.endpoint, make, update);
}

function make(one) {
  const node = el("article", { className: "card body", data: { testid: "monitored", endpoint: one.endpoint } });
  const spoken = (x) => (x > -0.5 ? "now" : `${span(-x)} ago`);
  node.head = el("div", { className: "body" });
  node.load = new Chart("Answers a second", { spoken });
  node.latency = new Chart("Latency, ms", { spoken });
  node.sure = new Chart("Mean confidence", { spoken, share: true });
  node.charts = el("div", { className: "charts" }, node.load.node, node.latency.node, node.sure.node);
  node.rest = el("div", { className: "body" });
  node.append(node.head, node.charts, node.rest);
  return node;
}

function update(node, one) {
  const { latency_ms: latency, confidence, drift } = one;
  const stat = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  const ms = (value) => (value === null ? "–" : `${short(Math.round(10 * value) / 10)} ms`);
  fill(node.head,
    el("div", { className: "row apart" }, el("h3", {}, one.endpoint), verdict(drift)),
    el("dl", { className: "stats" }, stat("Answers", count(one.answers)), stat("Half within", ms(latency.p50)), stat("95 % within", ms(latency.p95)), stat("99 % within", ms(latency.p99)),
      stat("Confidence", confidence.mean === null ? "–" : percent(confidence.mean))),
    el("p", { className: "note", data: { testid: "drift" } }, drift.why, confidence.reference === null ? "" : ` · mean confidence on the evaluation set ${percent(confidence.reference)}`));
  node.charts.hidden = !one.answers;
  const step = (one.until - one.since) / one.series.length; // a point stands at the end of its part of the time
  const series = (key) => one.series.filter((point) => typeof point[key] === "number").map((point) => [point.at - one.until + step, point[key]]);
  const drawn = (chart, keys) => chart.update(keys.map(([key, color, name = key]) => ({ name, color, points: series(key) })), [one.since - one.until, 0]);
  drawn(node.load, [["per_second", "accent", ""]]);
  drawn(node.latency, [["p50", "line", "half within"], ["p95", "accent", "95 %"], ["p99", "val", "99 %"]]);
  drawn(node.sure, confidence.mean === null ? [] : [["confidence", "accent", ""]]);
  fill(node.rest, shares(one), ...one.candidates.map(candidate));
}

function verdict({ drifted }) {
  if (drifted === null) return tag("not known yet");
  return drifted ? tag("drifted", "bad") : tag("no drift", "good");
}

// Each class's share of the answers or of the masks' pixels, beside that on the evaluation set.
function shares({ shares: found, share_of: of, answers }) {
  if (!found.length || !answers) return null;
  const rows = found.slice(0, MOST).map((one) => el("tr", {}, el("td", { className: "text" }, one.class.split("|").join(", ") || "none of the labels"),
    el("td", { className: "whole" }, one.share === null ? "–" : percent(one.share)), el("td", { className: "whole" }, one.reference === null ? "–" : percent(one.reference))));
  return el("div", { className: "scroll" }, el("table", { className: "fit" }, el("thead", {}, el("tr", {}, el("th", { scope: "col", className: "text" }, of === "pixels" ? "Share of the pixels" : "Answer"), el("th", { scope: "col" }, "now"), el("th", { scope: "col" }, "on the evaluation set"))), el("tbody", {}, rows)));
}

const candidate = (one) => el("div", { data: { testid: `compared-${one.role}` } }, el("h3", {}, `${one.role === "shadow" ? "Shadow" : "Canary"}: version ${one.version}`), el("p", { className: "note" }, one.why));
