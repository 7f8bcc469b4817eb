// What happened, in the words in which it was decided.
import { at, attempt, button, el, fill, hash, keyed, when } from "./dom.js";
import { get } from "./api.js";

const STEP = 30;
const MORE = 100;
const TITLES = {
  promote: "went live by itself", deploy: "was set live", rollback: "is back", clear: "taken off", freeze: "automatic deployment held",
  thaw: "automatic deployment goes on", token: "token made", revoke: "token revoked", prune: "files given up",
  drift: "answers otherwise than on its evaluation set", "drift ended": "answers as on its evaluation set again",
  shadow: "watches as a shadow", canary: "answers a share as canary", withdraw: "withdrawn",
};

export let lines = [];
let known = new Map(); // models by their number
let asked = STEP;
let stop = null; // the line whose hash Tab goes to; from there arrow keys lead to the others
let checked = null; // when a person last had all lines checked

export async function refreshHistory() {
  lines = await get(`/api/history?limit=${asked}`);
  draw();
  await check(false);
}

// The focus goes on to the first of them.
async function earlier() {
  const shown = lines.length;
  asked += MORE;
  await refreshHistory();
  const next = at("history").list.children[shown] ?? at("history").list.lastElementChild;
  next.tabIndex = -1;
  next.focus();
}

// Every line on demand, else those that are new to the server.
async function check(whole) {
  const { broken_at: broken } = await get(`/api/history/check?whole=${whole}`);
  if (whole) checked = new Date().toLocaleTimeString();
  const well = checked ? `All lines were checked at ${checked} and are as they were written.` : "Each line is sealed with the hash of the one before.";
  fill(at("sealed"), broken === null ? `${well} ` : `Line ${broken} was tampered with. `,
    button("Check all lines", (event) => attempt(() => check(true), event.currentTarget), { kind: "small", "data-testid": "check", "data-keep": "check" }));
  at("sealed").className = broken === null ? "note" : "note failure";
}

export function drawHistory(models) {
  known = new Map(models.map((one) => [one.id, one]));
  draw();
}

function draw() {
  const place = at("history");
  if (!place.list) {
    place.list = el("ol", { className: "list", on: { keydown: go, focusin: halt }, data: { testid: "history" } });
    place.more = button("Earlier lines", (event) => attempt(earlier, event.currentTarget), { kind: "small", "data-testid": "earlier" });
    place.append(place.list, el("div", {}, place.more));
  }
  place.more.hidden = lines.length < asked;
  if (!lines.some((line) => line.number === stop && hasHash(line))) stop = lines.find(hasHash)?.number;
  keyed(place.list, lines, (line) => line.number, (line) => el("li", { className: "event", data: { line: line.number } }), (node, line) => fill(node, ...described(line)));
}

function go(event) {
  const places = [...event.currentTarget.querySelectorAll(".copy")];
  const here = places.indexOf(event.target);
  const next = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: places.length - 1 }[event.key];
  if (here < 0 || next === undefined) return;
  event.preventDefault();
  places[next]?.focus();
}

function halt(event) {
  const here = event.target.closest(".copy");
  if (!here) return;
  stop = Number(here.closest("li").dataset.line);
  for (const one of event.currentTarget.querySelectorAll(".copy")) one.tabIndex = one === here ? 0 : -1;
}

const hasHash = (line) => line.to_id && known.has(line.to_id);

function described(line) {
  const model = known.get(line.to_id ?? line.from_id);
  const subject = model ? [`${model.name} ${model.version} `, hasHash(line) ? el("span", { className: "note" }, hash(model.file_sha256, line.number === stop ? 0 : -1)) : "", " "] : line.endpoint ? [`${line.endpoint}: `] : [];
  const generation = line.generation === null ? "" : el("span", { className: "note" }, ` · generation ${line.generation}`);
  return [when(line.at), el("div", {}, el("p", {}, subject, TITLES[line.action] ?? line.action, generation), el("p", { className: "note" }, `${line.why} — ${line.actor}`))];
}
