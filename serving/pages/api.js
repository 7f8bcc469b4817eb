// The server's API with the visitor's token: from the address once, then from the browser's storage, else asked for.
import { at, el, button, setClock } from "./dom.js";

const PLACE = "evergreen.token";
let asking = null; // the dialog that is open, as a promise
let settle = null; // ends it with whether there is another token
let secret = ""; // where the browser forbids storage, for this page alone

export class Failure extends Error {
  constructor(status, words, retryAfter = 0) {
    super(words);
    Object.assign(this, { status, retryAfter });
  }
}

export const token = () => { try { return localStorage.getItem(PLACE) ?? secret; } catch { return secret; } };

function keep(given) {
  secret = given;
  try { localStorage.setItem(PLACE, given); } catch { /* forbidden: asked for again with the next page */ }
}

// …#token=SECRET, as the server prints it; it does not stay in the address.
export function takeToken() {
  const found = /^#token=([\w-]+)$/.exec(location.hash);
  if (!found) return false;
  keep(found[1]);
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

// Another tab was given one: it is this tab's, too.
addEventListener("storage", (event) => {
  if (event.key !== PLACE || !event.newValue) return;
  if (asking) settle(true);
  else patiently(identify);
});

addEventListener("hashchange", () => { if (takeToken()) location.reload(); }); // a link pasted into this tab

export const isAsking = () => asking !== null;

// Whether there is another one; where it is needed, nobody gets past the question.
export function askForToken(why, needed = true) {
  asking ??= new Promise((resolve) => {
    const input = el("input", { className: "entry mono", type: "password", autocomplete: "off", required: true, "aria-label": "token", data: { testid: "token" } });
    const form = el("form", { method: "dialog" },
      el("h2", {}, "Your token, please"),
      el("p", { className: "note" }, why, " The server prints a link with it when it starts, and keeps it in ", el("code", {}, "store/tokens"), "."),
      input,
      el("div", { className: "row" }, needed ? null : button("Leave it", () => dialog.close()), button("Go on", () => {}, { kind: "main", type: "submit", "data-testid": "token-go" })));
    const dialog = el("dialog", { "aria-label": "token", data: { testid: "ask-token" } }, form);
    const done = (settle = (given) => {
      asking = null;
      dialog.remove();
      const isAnother = needed && document.documentElement.dataset.role; // whose token it is shows once for all who wait
      resolve(isAnother ? patiently(identify).then(() => true) : given);
    });
    form.addEventListener("submit", () => {
      keep(input.value.trim());
      done(true);
    });
    dialog.addEventListener("close", () => (needed ? dialog.showModal() : done(false)));
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

// The answer's JSON (or text); 401 asks for a token and tries again. Throws Failure with the server's words.
export async function call(method, path, { json, body, headers = {}, text = false } = {}) {
  const sent = { method, headers: { ...headers, Authorization: `Bearer ${token()}` }, body };
  if (json !== undefined) {
    sent.headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(json);
  }
  const answer = await reached(path, sent);
  if (answer.status === 401) {
    await askForToken(token() ? "This token is unknown, expired or revoked." : "The server answers those who have one.");
    return call(method, path, { json, body, headers, text });
  }
  if (!answer.ok) throw new Failure(answer.status, await words(answer), Number(answer.headers.get("Retry-After") ?? 0));
  if (answer.status === 204) return null;
  return text ? answer.text() : answer.json();
}

async function reached(path, sent) {
  try {
    const answer = await fetch(path, sent);
    setClock(answer.headers.get("Date"));
    return answer;
  } catch {
    throw new Failure(0, "the server does not answer");
  }
}

async function words(answer) {
  const said = await answer.text();
  try {
    return JSON.parse(said).error ?? said;
  } catch {
    return said.slice(0, 200) || `status ${answer.status}`;
  }
}

export const get = (path, options) => call("GET", path, options);
export const post = (path, json = {}) => call("POST", path, { json });

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Until the server answers.
export async function patiently(act) {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (error.status >= 400 && error.status < 500) throw error;
      await pause(2000);
    }
  }
}

// Whose token it is: what this role may not do is not shown.
export async function identify() {
  const me = await get("/api/whoami");
  if (me.role === "worker") {
    await askForToken("A worker’s token opens no page.");
    return identify();
  }
  document.documentElement.dataset.role = me.role;
  at("who").title = `${me.name} (${me.role}): use another token`;
  return me;
}

// The head of both pages: colours, and another token.
export function head() {
  const root = document.documentElement;
  at("theme").addEventListener("click", () => {
    const dark = (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    root.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* stays for this page */ }
  });
  at("who").addEventListener("click", async () => {
    if (await askForToken("Use another token from now on.", false)) location.reload();
  });
}
