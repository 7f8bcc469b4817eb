// What happened, in the words in which it was decided.
import { at, attempt, button, el, fill, hash, keyed, when } from "./dom.js";
import { get } from "./api.js";

const STEP = 30;
const TITLES = {
  promote: "went live by itself", deploy: "was set live", rollback: "is back", clear: "taken off", freeze: "automatic deployment held",
  thaw: "automatic deployment goes on", token: "token made", revoke: "token revoked", prune: "files given up",
  drift: "answers otherwise than on its evaluation set", "drift ended": "answers as on its evaluation set again",
  shadow: "watches as a shadow", canary: "answers a share as canary", withdraw: "withdrawn",
};

export let lines = [];
let asked = STEP;
let checked = null; // when a person last had all lines checked

export async function refreshHistory(models) {
  lines = await get(`/api/history?limit=${asked}`);
  drawHistory(models);
  await check(false);
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
  const place = at("history");
  if (!place.list) {
    place.list = el("ol", { className: "list", data: { testid: "history" } });
    place.more = button("Earlier lines", () => { asked += 100; refreshHistory(models); }, { kind: "small" });
    place.append(place.list, el("div", {}, place.more));
  }
  place.more.hidden = lines.length < asked;
  const known = new Map(models.map((one) => [one.id, one]));
  keyed(place.list, lines, (line) => line.number, () => el("li", { className: "event" }), (node, line) => fill(node, ...described(line, known)));
}

function described(line, known) {
  const model = known.get(line.to_id) ?? known.get(line.from_id);
  const subject = model ? [`${model.name} ${model.version} `, line.to_id ? el("span", { className: "note" }, hash(model.file_sha256)) : "", " "] : line.endpoint ? [`${line.endpoint}: `] : [];
  const generation = line.generation === null ? "" : el("span", { className: "note" }, ` · generation ${line.generation}`);
  return [when(line.at), el("div", {}, el("p", {}, subject, TITLES[line.action] ?? line.action, generation), el("p", { className: "note" }, `${line.why} — ${line.actor}`))];
}
