// What is live, and what a person may do about it.
import { at, attempt, button, el, fill, hash, keyed, tag, when } from "./dom.js";
import { post } from "./api.js";
import { check, sure } from "./dialog.js";
import { leading, title, written } from "./vocabulary.js";

let rows = [];
let serving = [];
let models = [];
let past = []; // lines of the history, the newest first

const BEFORE = 5; // former generations that are shown

export function drawDeployments(state, known, lines) {
  [rows, serving, models, past] = [state.deployments, state.serving, known, lines];
  if (!rows.length) return fill(at("deployments"), nothing());
  if (!at("deployments").known) at("deployments").replaceChildren(at("deployments").list = el("div", { className: "cards" }));
  at("deployments").known = true;
  return keyed(at("deployments").list, rows, (row) => row.name, () => el("article", { className: "card live", data: { testid: "deployment" } }), (node, row) => fill(node, ...card(row)));
}

const nothing = () => el("div", { className: "empty" }, el("h3", {}, "Nothing is live yet"),
  el("p", { className: "note" }, "Drop a grid below: the first model that is trained goes live by itself."));

const modelOf = (id) => models.find((one) => one.id === id);
const nameOf = (id) => { const model = modelOf(id); return model ? `${model.name} ${model.version}` : `model ${id}`; };
const fact = (name, ...value) => [el("dt", {}, name), el("dd", {}, value)];

function card(row) {
  const model = modelOf(row.model_id);
  const here = serving.find((one) => one.endpoint === row.name);
  return [el("div", { className: "now" },
    el("div", { className: "row apart" }, el("h3", {}, row.name), el("div", { className: "row" }, row.frozen ? tag("frozen", "held") : null, loading(row, here))),
    row.model_id === null ? el("p", { className: "note", data: { testid: "live-hash", hash: "" } }, "Nothing is live. The next model that is trained goes live, whatever its figures.")
      : el("p", { className: "big", data: { testid: "live-hash", hash: row.file_sha256 } }, hash(row.file_sha256)),
    el("dl", { className: "facts" }, model ? facts(model) : null, fact("generation", el("span", { data: { testid: "live-generation" } }, String(row.generation))), here?.engine ? fact("engine", here.engine) : null),
    here?.state === "failed" ? el("p", { className: "note failure", data: { testid: "not-loaded" } }, here.why) : null,
    ...candidates(row),
    el("div", { className: "row" }, ...actions(row))),
    before(row)];
}

// The last generations, so that it is seen what a rollback brings back.
function before(row) {
  const lines = past.filter((line) => line.endpoint === row.name && line.generation !== null && line.generation < row.generation).slice(0, BEFORE);
  if (!lines.length) return null;
  return el("div", { className: "before" }, el("h3", {}, "Before"), el("ol", {}, lines.map((line) => el("li", {},
    el("span", {}, String(line.generation)), el("span", {}, line.to_id === null ? "nothing" : nameOf(line.to_id)),
    el("span", { className: "note" }, modelOf(line.to_id) ? hash(modelOf(line.to_id).file_sha256) : ""), el("span", { className: "note" }, when(line.at))))));
}

const amid = (words) => (/^[A-Z][a-z]/.test(words) ? words[0].toLowerCase() + words.slice(1) : words); // not mAP

function facts(model) {
  const name = leading(model.task);
  const value = model.evaluations.at(-1)?.figures[name];
  return [fact("model", `${model.name} ${model.version}`), value === undefined ? [] : fact(amid(title(name)), written(name, value))].flat();
}

function loading(row, here) {
  if (!here || row.model_id === null) return null;
  if (here.state === "failed") return tag("not loaded", "bad");
  return here.state === "live" && here.generation === row.generation ? tag("answers", "good") : tag("loading", "busy");
}

function candidates(row) {
  const line = (role, id, words) => el("div", { className: "row apart", data: { testid: role } }, el("span", {}, `${nameOf(id)} `, el("span", { className: "note" }, words)),
    button("Withdraw", (event) => attempt(() => post(`/api/deployments/${row.name}/withdraw`, { role }), event.currentTarget), { kind: "small operator", "data-keep": `withdraw-${role}-${row.name}` }));
  return [row.shadow_id ? line("shadow", row.shadow_id, "watches as a shadow") : null,
    row.canary_id ? line("canary", row.canary_id, `answers ${Math.round(100 * row.canary_share)} % as canary`) : null];
}

function actions(row) {
  const act = (words, testid, run, title, more) => button(words, (event) => attempt(run, event.currentTarget), { kind: "small operator", title, "data-testid": testid, "data-keep": `${testid}-${row.name}`, ...more });
  const place = `/api/deployments/${row.name}`;
  return [
    act("Roll back", "rollback", () => rollback(row, place), "Brings back what was live before", { disabled: row.generation < 2 }),
    act(row.frozen ? "Thaw" : "Freeze", "freeze", () => post(`${place}/freeze`, { frozen: !row.frozen }), row.frozen ? "Lets better models go live by themselves again" : "Holds automatic deployment", { "data-turn": `freeze-${row.name}` }),
    act("Clear", "clear", () => clear(row, place), "Takes off what is live", { disabled: row.model_id === null }),
  ];
}

async function rollback(row, place) {
  const agreed = await sure(`Bring back what was live on ${row.name} before?`, "It answers within a moment, on every open page. This is a new generation; nothing is lost.", "Roll back",
    check("freeze", "and freeze automatic deployment, so that the next training does not replace it", "and-freeze"));
  if (agreed) await post(`${place}/rollback`, { generation: row.generation, freeze: agreed.has("freeze") });
}

async function clear(row, place) {
  if (await sure(`Take ${row.name} off?`, "Nothing answers until another model goes live. The model stays in the store.", "Take it off")) await post(`${place}/clear`, { generation: row.generation });
}

// A model by hand in the place of what is live, or beside it.
export async function deploy(model, how) {
  const row = rows.find((one) => one.name === model.name);
  const name = `${model.name} ${model.version}`;
  const former = row?.model_id ? `${nameOf(row.model_id)} is taken off; one click brings it back.` : "Nothing is live there now.";
  if (how === "live") {
    if (await sure(`Set ${name} live?`, former, "Set live")) await post("/api/deployments", { model: model.id, generation: row?.generation ?? null });
  } else if (how === "shadow") {
    if (await sure(`Let ${name} watch?`, "It gets the same images; its answers are compared and shown to nobody.", "Let it watch")) await post(`/api/deployments/${model.name}/shadow`, { model: model.id });
  } else {
    const share = el("label", { className: "field" }, "share of the requests, in per cent", el("input", { name: "share", type: "number", min: 1, max: 99, value: 10, required: true }));
    const agreed = await sure(`Let ${name} answer a share?`, "As a canary it answers some of the requests in earnest.", "Start the canary", share);
    if (agreed) await post(`/api/deployments/${model.name}/canary`, { model: model.id, share: Number(agreed.get("share")) / 100 });
  }
}
