// Elements, words and numbers. Names come from people and machines elsewhere: they only ever become text.
export const at = (id) => document.getElementById(id);

// Properties that are no attributes; all others are set as attributes, false and null left out.
const OWN = new Set(["className", "textContent", "value", "checked", "disabled", "hidden", "htmlFor", "open"]);

function set(node, properties) {
  for (const [key, value] of Object.entries(properties)) {
    if (key === "on") for (const [name, act] of Object.entries(value)) node.addEventListener(name, act);
    else if (key === "data") Object.assign(node.dataset, value);
    else if (OWN.has(key)) node[key] = value;
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value === true ? "" : value);
  }
}

function made(node, properties, children) {
  set(node, properties);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

export const el = (tag, properties = {}, ...children) => made(document.createElement(tag), properties, children);
export const svg = (tag, properties = {}, ...children) =>
  made(document.createElementNS("http://www.w3.org/2000/svg", tag), properties, children);

// Lines of a drawing of 24 by 24.
const icon = (...paths) => svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, paths.map((d) => svg("path", { d })));

export function button(words, act, { kind = "", ...properties } = {}) {
  return el("button", { type: "button", className: `button ${kind}`.trim(), on: { click: act }, ...properties }, words);
}

export const tag = (words, kind = "") => el("span", { className: `tag ${kind}`.trim() }, words);

// The first twelve signs; a click copies all of them.
export function hash(whole, tabindex = 0) {
  const shown = el("button", { type: "button", tabindex, className: "copy hash", title: `${whole} — click to copy`, "aria-label": `copy the hash ${whole.slice(0, 12)}`, data: { hash: whole, keep: whole } }, whole.slice(0, 12), icon("M9 9h11v11H9z", "M5 15H4V4h11v1"));
  shown.addEventListener("click", async (event) => {
    event.stopPropagation();
    try {
      await navigator.clipboard.writeText(whole);
      tell("Copied the whole hash");
    } catch {
      tell(whole); // no clipboard without https: then it can be selected
    }
  });
  return shown;
}

const CONTROLS = "a[href], button:not(:disabled), input, select, textarea, [tabindex]";

// The focus goes to the control of that name, or to the first that is left near a place.
export function refocus(place, keep) {
  let found = keep && place.querySelector(`[data-keep="${CSS.escape(keep)}"]:not(:disabled)`);
  for (let node = place; !found && node; node = node.parentElement) found = [...node.querySelectorAll(CONTROLS)].find((one) => one.checkVisibility());
  found?.focus({ preventScroll: true });
}

// Changes what is below a node; the focus stays there, or near.
function holding(node, change) {
  const held = node.contains(document.activeElement) ? document.activeElement : null;
  change();
  if (held && !node.contains(document.activeElement)) refocus(node, held.dataset.keep);
}

// Keeps the nodes of what is still there, so that what is open stays open and what has the focus keeps it.
export function keyed(parent, items, key, make, update) {
  const known = (parent.known ??= new Map());
  const nodes = items.map((item) => {
    const name = key(item);
    if (!known.has(name)) known.set(name, make(item));
    update(known.get(name), item);
    return known.get(name);
  });
  holding(parent, () => {
    for (const [name, node] of known) if (!nodes.includes(node)) { node.remove(); known.delete(name); }
    nodes.forEach((node, place) => { if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null); });
  });
}

// Replaces the children only where they would look different, so that a selection and the focus survive.
export function fill(node, ...children) {
  const fresh = el("div", {}, ...children);
  if (node.childNodes.length === fresh.childNodes.length && [...node.childNodes].every((child, i) => child.isEqualNode(fresh.childNodes[i]))) return;
  holding(node, () => node.replaceChildren(...fresh.childNodes));
}

// It stays as long as somebody is at it; closed, it gives the focus back to where that came from.
export function tell(words, seconds = 6) {
  let before = null;
  const close = () => {
    shown.remove();
    if (before?.isConnected) before.focus({ preventScroll: true });
    else refocus(document.body, before?.dataset.keep);
  };
  const leave = () => (shown.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : shown.remove());
  const shown = el("div", { className: "message", on: { focusin: (event) => { before = event.relatedTarget ?? before; } }, data: { testid: "message" } }, el("span", {}, words),
    el("button", { type: "button", "aria-label": "close", on: { click: close }, data: { testid: "close" } }, "×"));
  at("messages").append(shown);
  setTimeout(leave, 1000 * seconds);
}

const MOMENT = 700; // ms within which pressing again is no second wish
const pressed = new Map(); // where controls take turns → when one was pressed last, or what it asked for was done

// Whether a control, or the one whose turn it was, was pressed within a moment.
function again({ dataset: { turn } }) {
  const before = pressed.get(turn) ?? -Infinity;
  if (turn) pressed.set(turn, performance.now());
  return performance.now() - before < MOMENT;
}

// Runs what a person asked for, once at a time; what goes wrong is told. The control keeps the focus, which a disabled one loses.
export async function attempt(act, control = null) {
  if (control && (again(control) || control.ariaDisabled)) return undefined;
  if (control) control.ariaDisabled = "true";
  try {
    return await act();
  } catch (error) {
    tell(error.message, 12);
    return undefined;
  } finally {
    if (control) {
      control.ariaDisabled = null;
      again(control);
    }
  }
}

export const count = (number) => Number(number).toLocaleString("en");
export const percent = (share) => (share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);
export const short = (number) => (number === 0 ? "0" : Math.abs(number) >= 1e5 || Math.abs(number) < 1e-3 ? number.toExponential(1).replace("e+", "e") : String(Number(number.toPrecision(4))));

export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let place = 0;
  for (; bytes >= 1024 && place < 3; place++) bytes /= 1024;
  return `${bytes.toFixed(place && bytes < 100 ? 1 : 0)} ${units[place]}`;
}

export function amount(number) {
  for (const [unit, sign] of [[1e9, "B"], [1e6, "M"], [1e3, "k"]]) if (number >= unit) return `${Number((number / unit).toPrecision(3))} ${sign}`;
  return String(number);
}

export function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min` : `${Math.floor(seconds / 86400)} d`;
}

const EXACT = 2000; // ms to which a server's clock is known: it tells whole seconds, some time ago
let ahead = 0; // ms of the server's clock before this computer's, which may be set wrongly

// date: of an answer's head. Ages are told by the server's clock, since the moments are.
export function setClock(date) {
  const found = Date.parse(date) - Date.now();
  if (Math.abs(found - ahead) > EXACT) ahead = found;
}

// Seconds since 1970 as words that stay right.
export function when(seconds) {
  const moment = new Date(1000 * seconds);
  return el("time", { datetime: moment.toISOString(), title: moment.toLocaleString() }, ago(moment));
}

function ago(moment) {
  const past = (Date.now() + ahead - moment) / 1000;
  if (past < 2) return "just now";
  return past < 86400 ? `${span(past)} ago` : moment.toLocaleDateString(undefined, { day: "numeric", month: "short", year: "numeric" });
}

setInterval(() => {
  for (const shown of document.querySelectorAll("time[datetime]")) {
    const words = ago(new Date(shown.dateTime));
    if (shown.textContent !== words) shown.textContent = words;
  }
}, 1000);
