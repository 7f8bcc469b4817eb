// The drop zone for a grid: what it would start is told before it is started.
import { at, attempt, button, count, el, fill, svg, tell } from "./dom.js";
import { call } from "./api.js";
import { called, words } from "./vocabulary.js";

const AGAIN = 2000; // ms before a server that does not answer is asked again
const PAUSE = 400; // ms after the last key, before the server is asked
const EXAMPLE = { models: "simple_cnn", EPOCHS: 3, LEARNING_RATE: [0.001, 0.003], NUM_FILTERS: [16, 32] };

let timer = null;
let asked = 0;
const parts = {};

export function drawSubmission() {
  parts.file = el("input", { type: "file", accept: ".json,application/json", "aria-describedby": "grid-hint", data: { testid: "grid-file" } });
  parts.drop = el("label", { className: "drop", data: { testid: "grid-drop" } }, parts.file,
    svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: "M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3M12 15V4m0 0L7.5 8.5M12 4l4.5 4.5" })),
    el("strong", {}, "Drop a JSON grid here"), el("span", { className: "note", id: "grid-hint" }, "or click to choose a file, or write it below"));
  parts.text = el("textarea", { rows: 6, spellcheck: "false", placeholder: JSON.stringify(EXAMPLE), data: { testid: "grid" } });
  parts.models = el("datalist", { id: "models-offered" });
  parts.model = el("input", { list: "models-offered", placeholder: "as above, or as the worker has it", autocomplete: "off", spellcheck: "false", data: { testid: "choose-model" } });
  parts.name = el("input", { value: "main", pattern: "[a-z0-9][a-z0-9_.\\-]{0,63}", title: "small letters, digits, _ . and -, a letter or digit first", maxlength: 64, data: { testid: "name" } });
  parts.priority = el("input", { type: "number", min: -100, max: 100, value: 0 });
  parts.told = el("div", { className: "body", "aria-live": "polite", data: { testid: "plan" } });
  parts.start = button("Start", () => attempt(start, parts.start), { kind: "main", disabled: true, "data-testid": "start" });
  parts.example = button("Show me an example", () => write(EXAMPLE), { kind: "plain", "data-testid": "example" });
  at("submission").append(parts.drop, labelled("Grid", "", parts.text),
    el("div", { className: "form" }, labelled("Network", "a name of this list or of timm, such as resnet18", parts.model), parts.models,
      labelled("Endpoint", "the place on the demo page where the best of them goes live", parts.name), labelled("Priority", "higher ones are trained first", parts.priority)),
    parts.told, el("div", { className: "row" }, parts.start, parts.example));
  listen();
}

const labelled = (name, hint, control) => el("label", { className: "field" }, name, control, hint ? el("small", {}, hint) : null);

// The project's own networks; any other name is one of timm's.
export const offer = () => fill(parts.models, ...words.options.models.filter((name) => name !== "timm").map((name) => el("option", { value: name })));

function listen() {
  parts.file.addEventListener("change", () => { read(parts.file.files); parts.file.value = ""; });
  parts.text.addEventListener("input", later);
  parts.model.addEventListener("change", choose);
  const over = (on) => parts.drop.classList.toggle("over", on);
  for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); over(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    read(event.dataTransfer?.files ?? []);
  });
}

async function read(files) {
  if (!files.length) return;
  if (files.length > 1) tell("One grid at a time: the first file is taken");
  if (files[0].size > 1 << 20) return tell("This file is too large for a grid");
  const text = await files[0].text();
  if (!text.trim()) return tell("This file is empty");
  if (/[\0\uFFFD]/.test(text)) return tell("This file is no text: a grid is a JSON file");
  parts.text.value = text;
  return look();
}

// A key on each line, lists beside it.
function write(grid) {
  const spelt = (value) => (Array.isArray(value) ? `[${value.map((one) => JSON.stringify(one)).join(", ")}]` : JSON.stringify(value));
  parts.text.value = `{\n${Object.entries(grid).map(([key, value]) => `  ${JSON.stringify(key)}: ${spelt(value)}`).join(",\n")}\n}`;
  look();
}

// A chosen model becomes part of the grid that is seen: what is shown is what is sent.
function choose() {
  let grid;
  try { grid = JSON.parse(parts.text.value || "{}"); } catch { return tell("The grid is no JSON yet"); }
  delete grid.MODEL;
  const { models, ...rest } = grid;
  const model = parts.model.value.trim();
  return write(model ? { models: model, ...rest } : rest);
}

function later() {
  clearTimeout(timer);
  parts.start.disabled = true;
  timer = setTimeout(look, PAUSE);
}

// Asks the server what this grid is; nothing is started.
async function look() {
  clearTimeout(timer);
  const mine = ++asked;
  parts.start.disabled = true;
  fill(parts.start, "Start");
  if (!parts.text.value.trim()) return fill(parts.told);
  try {
    const found = await call("POST", "/api/jobs?dry_run=true", { body: parts.text.value });
    if (mine === asked) planned(found);
  } catch (error) {
    if (mine !== asked) return undefined;
    if (!error.status) timer = setTimeout(look, AGAIN); // the server is away
    fill(parts.told, el("p", { className: "failure", data: { testid: "grid-error" } }, error.message));
  }
  return undefined;
}

// A value without the quotes that it has in the grid: adamw, null, [8, 16].
const spelt = (value) => (Array.isArray(value) ? `[${value.map(spelt).join(", ")}]` : String(value));

function planned({ size, choices, unknown }) {
  const many = Object.values(choices).filter((values) => values.length > 1).map((values) => values.length);
  const product = many.length > 1 ? `${many.join(" × ")} = ` : "";
  fill(parts.told,
    el("p", { className: "sizes", data: { testid: "size" } }, `${product}${count(size)} ${size === 1 ? "job" : "jobs"}`),
    Object.keys(choices).length ? null : el("p", { className: "note" }, "Nothing is set: it is trained as the worker has it."),
    el("dl", { className: "plan" }, Object.entries(choices).map(([key, values]) => el("div", {}, el("dt", { title: key }, called(key) ?? key), el("dd", {}, values.map(spelt).join(", "))))),
    Object.keys(unknown).length ? el("div", { data: { testid: "unknown" } }, el("h3", {}, "Left out"), el("dl", { className: "plan" }, Object.entries(unknown).map(([key, help]) => el("div", {}, el("dt", {}, key), el("dd", {}, help))))) : null);
  fill(parts.start, size === 1 ? "Start 1 job" : `Start ${count(size)} jobs`);
  parts.start.disabled = false;
}

async function start() {
  if (!parts.name.reportValidity() || !parts.priority.reportValidity()) return;
  const query = new URLSearchParams({ name: parts.name.value, priority: parts.priority.value || "0" });
  const found = await call("POST", `/api/jobs?${query}`, { body: parts.text.value, headers: { "Idempotency-Key": crypto.getRandomValues(new Uint32Array(4)).join("-") } });
  tell(`${found.size === 1 ? "1 job waits" : `${count(found.size)} jobs wait`} in sweep ${found.sweep}`);
  at("work").scrollIntoView();
  at("t-work").focus({ preventScroll: true });
}
