// The demo page: what is live, and what it says about the visitor's images.
import { at, button, el, fill, hash, keyed, tag, tell } from "./dom.js";
import { call, head, identify, patiently, takeToken } from "./api.js";
import { drawn } from "./answers.js";
import { correction } from "./correction.js";
import { Live } from "./live.js";

const AT_ONCE = 4; // images that are asked about at the same time
const TRIES = 4; // of one image, while the server is busy
const AWAY = [0, 503]; // states of a server that is not there, or has no model or no time
const TOP = 5;
const MOST = 1000; // of one answer
const PLACE = "evergreen.endpoint";

let serving = []; // as the server said last: one an endpoint
let chosen = remembered();
let last = null; // what answered last
let results = []; // the newest first
let waiting = [];
let busy = 0;
let number = 0;

function remembered() {
  try { return localStorage.getItem(PLACE) ?? "main"; } catch { return "main"; }
}

const current = () => serving.find((one) => one.endpoint === chosen) ?? serving[0] ?? null;

// ---- what is live

function heard(state) {
  serving = state.serving;
  const now = current();
  fill(at("live"), ...card(now));
  endpoints();
  if (now && (now.sha256 || now.state === "empty")) settled(now);
  results.forEach(mark);
  if (now?.state === "live") results.filter((one) => one.waits).forEach(retry);
}

// What answers, or that nothing does: a server that was started again is loading first, and then as it was.
function settled(now) {
  const before = last;
  last = now;
  if (before?.endpoint === now.endpoint && before.generation !== now.generation) celebrate(now);
}

function celebrate(now) {
  const shown = at("live");
  shown.classList.remove("fresh");
  void shown.offsetWidth; // so that the animation begins anew
  shown.classList.add("fresh");
  tell(now.generation === null || !now.sha256 ? "Nothing is live any more" : `Generation ${now.generation} is live: ${now.sha256.slice(0, 12)}`);
}

function endpoints() {
  const place = at("endpoints");
  place.hidden = serving.length < 2;
  fill(place, ...serving.map((one) => el("button", { type: "button", "aria-pressed": String(one === current()), data: { keep: one.endpoint, endpoint: one.endpoint } }, one.endpoint)));
}

at("endpoints").addEventListener("click", (event) => {
  const pressed = event.target.closest("[data-endpoint]");
  if (!pressed) return;
  chosen = pressed.dataset.endpoint;
  try { localStorage.setItem(PLACE, chosen); } catch { /* stays for this page */ }
  fill(at("live"), ...card(current()));
  endpoints();
});

const fact = (name, value, testid) => [el("dt", {}, name), el("dd", { data: { testid } }, value)];

function card(live) {
  if (!live?.sha256) return [live && live.state !== "empty" ? coming(live) : nothing(live)];
  return [el("div", { className: "card live", data: { testid: "live" } },
    el("div", { className: "row apart" }, el("h3", {}, "Live now"), state(live)),
    el("p", { className: "big", data: { testid: "hash", hash: live.sha256 } }, hash(live.sha256)),
    el("dl", { className: "facts" },
      fact("model", `${live.name ?? live.endpoint} ${live.version ?? ""}`.trim(), "version"),
      fact("generation", String(live.generation), "generation"),
      fact("task", live.task, "task"),
      fact("classes", live.classes.length > 1 ? String(live.classes.length) : (live.classes[0] ?? "–"), "classes"),
      fact("engine", live.engine, "engine")),
    live.why ? el("p", { className: "note" }, `The next one could not be loaded: ${live.why}`) : null)];
}

function state({ state: word }) {
  if (word === "live") return tag("live", "good");
  return word === "failed" ? tag("the next one failed", "bad") : tag("a new one is loading", "busy");
}

const coming = (live) => el("div", { className: "card live", data: { testid: "coming" } },
  el("div", { className: "row apart" }, el("h3", {}, live.state === "failed" ? "Could not be loaded" : "One moment"), tag(live.state, live.state === "failed" ? "bad" : "busy")),
  el("p", { className: "note" }, live.why || "The model is being loaded and checked."));

const nothing = (live) => el("div", { className: "empty", data: { testid: "empty" } },
  el("h3", {}, live ? `Nothing is live on ${live.endpoint}` : "Nothing is live yet"),
  el("p", { className: "note" }, "The first model that is trained goes live by itself:"),
  el("ol", {},
    el("li", {}, "drop a grid of hyperparameters on the ", el("a", { href: "/store#train" }, "store page"), ", or"),
    el("li", {}, "train in a terminal beside this store:")),
  el("pre", {}, el("code", {}, "python train.py callback=store")));

// ---- images and their answers

function take(files) {
  const images = [...files].filter((file) => file.type.startsWith("image/"));
  if (images.length < files.length) tell(images.length ? "Files that are no images were left out" : "That is no image: use JPEG, PNG or WebP");
  const fresh = images.map((file) => ({ key: ++number, file, address: URL.createObjectURL(file), name: file.name || "pasted image" }));
  results = [...fresh, ...results];
  show();
  fresh.forEach(ask);
}

const show = () => keyed(at("results"), results, (one) => one.key, row, () => {});

function row(one) {
  const image = el("img", { src: one.address, alt: one.name });
  image.addEventListener("load", () => image.classList.toggle("pixels", Math.max(image.naturalWidth, image.naturalHeight) < 96));
  image.addEventListener("error", () => image.replaceWith(el("span", { className: "note" }, "cannot be shown")));
  one.picture = el("div", { className: "picture" }, image);
  one.answer = el("div", { className: "answer", "aria-live": "polite" });
  return el("li", { className: "result", data: { testid: "result" } }, one.picture, one.answer);
}

const titled = (one) => el("header", {}, el("strong", {}, one.name), button("Remove", () => {
  URL.revokeObjectURL(one.address);
  results = results.filter((other) => other !== one);
  show();
}, { kind: "small plain" }));

const redraw = (one, ...children) => fill(one.answer, titled(one), ...children);

function ask(one) {
  one.waits = false;
  redraw(one, el("div", { className: "waiting", data: { testid: "spinner" } }, el("span", { className: "spinner", "aria-hidden": "true" }), "the model looks at it …"));
  waiting.push(one);
  pump();
}

async function pump() {
  if (busy >= AT_ONCE || !waiting.length) return;
  busy++;
  const one = waiting.shift();
  try {
    answered(one, await predicted(one));
  } catch (error) {
    failed(one, error);
  } finally {
    busy--;
    pump();
  }
  pump();
}

// What a correction needs to know of the model that answered.
function asked(endpoint) {
  const live = serving.find((one) => one.endpoint === endpoint);
  return { classes: live?.classes ?? [], task: live?.task ?? "" };
}

// A server that is busy says when to come back.
async function predicted(one, tries = TRIES) {
  const live = current();
  const endpoint = live?.endpoint ?? chosen;
  const top = live?.task === "multilabel" ? Math.max(TOP, Math.min(MOST, live.classes.length)) : TOP; // else some that are given would be missing
  const body = new FormData();
  body.append("image", one.file);
  const began = performance.now();
  try {
    const said = await call("POST", `/predict/${endpoint}?top_k=${top}`, { body });
    return { ...said, milliseconds: performance.now() - began, ...asked(endpoint) };
  } catch (error) {
    if (tries <= 1 || ![429, 503].includes(error.status) || !current()?.sha256) throw error;
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(5, error.retryAfter || 1)));
    return predicted(one, tries - 1);
  }
}

function answered(one, said) {
  const found = said.predictions[0];
  one.said = said;
  one.foot = el("div", { className: "foot" });
  const place = el("div", { hidden: true });
  const wrong = button("That is wrong …", () => {
    place.hidden = !place.hidden;
    wrong.setAttribute("aria-expanded", String(!place.hidden));
    if (!place.hidden) place.querySelector("button, select, input")?.focus();
  }, { kind: "small", "aria-expanded": "false", "data-testid": "wrong" });
  one.wrong = wrong;
  place.append(correction({ file: one.file, endpoint: said.endpoint, id: found.id, task: said.task, classes: said.classes, found }, (words) => {
    const thanks = el("span", { className: "note", role: "status", tabindex: -1, data: { testid: "thanks" } }, words);
    wrong.replaceWith(thanks);
    place.remove();
    thanks.focus();
  }));
  redraw(one, ...drawn(found, one.picture, TOP), one.foot, place);
  one.mark = el("span", {});
  one.foot.append(one.mark, found.error ? "" : wrong);
  mark(one);
}

// Whose answer it is, and whether that one is still live.
function mark(one) {
  if (!one.said) return;
  const { model, generation, endpoint, milliseconds } = one.said;
  const live = serving.find((other) => other.endpoint === endpoint);
  const former = live && live.generation !== generation;
  const shown = [`${model.name} ${model.version} · generation ${generation} · `, el("span", { className: "hash", data: { testid: "answered-by" } }, model.sha256.slice(0, 12)), ` · ${Math.round(milliseconds)} ms `];
  if (former && live.sha256) shown.push(again(one, "Ask the new one"));
  fill(one.mark, ...shown);
}

const again = (one, words) => button(words, () => retry(one), { kind: "small", "data-testid": "again" });

function retry(one) {
  one.said = null;
  ask(one);
}

// An image that nobody could look at is shown again as soon as a model is there.
function failed(one, error) {
  one.waits = AWAY.includes(error.status);
  redraw(one, el("p", { className: "failure", data: { testid: "failure" } }, error.message, one.waits ? "; it is asked again by itself" : ""),
    el("div", { className: "row" }, again(one, "Try again")));
}

// ---- how images come in: chosen, dropped anywhere, pasted

at("file").addEventListener("change", () => {
  take(at("file").files);
  at("file").value = "";
});
for (const kind of ["dragenter", "dragover"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.add("over");
  });
}
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  if (event.dataTransfer?.files.length) take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) take(event.clipboardData.files); });

head();
takeToken();
patiently(identify);
new Live(heard).start();
