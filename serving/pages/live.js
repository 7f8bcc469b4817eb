// What the server says is so: pushed over a socket, asked for where the socket is down, and now and then anyway.
import { at } from "./dom.js";
import { get, isAsking, token } from "./api.js";

const SILENCE = 25_000; // ms without a word, after which a socket is taken for dead (the server beats every 10 s)
const REPAIR = 15_000; // ms between two questions while the socket is up: a push that was missed
const ALONE = 2_000; // the same while it is down
const LONGEST = 15_000; // ms between two tries to connect

export class Live {
  // heard: called with each state, never with an older one after a newer.
  constructor(heard) {
    Object.assign(this, { heard, socket: null, tries: 0, last: 0, state: "connecting", seen: -1 });
  }

  start() {
    this.connect();
    this.ask();
    setInterval(() => this.watch(), 1000);
    addEventListener("online", () => this.again(0));
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.ask(); });
  }

  connect() {
    clearTimeout(this.timer);
    this.timer = null;
    if (isAsking() || !token()) {
      this.timer = setTimeout(() => this.connect(), ALONE / 4);
      return;
    }
    const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/api/events`;
    const socket = (this.socket = new WebSocket(address, ["evergreen", `token.${token()}`]));
    this.last = Date.now();
    this.seen = -1; // a restored store may have a shorter history
    socket.addEventListener("message", (event) => { if (socket === this.socket) this.said(JSON.parse(event.data)); });
    socket.addEventListener("close", () => { if (socket === this.socket) this.again(); });
  }

  said(message) {
    this.last = Date.now();
    this.tries = 0;
    this.show("live");
    if (message.kind === "state") this.take(message);
  }

  // The two ways of hearing may overtake one another; the history only grows.
  take(state) {
    const [newest] = state.marks.history;
    if (newest < this.seen) return;
    this.seen = newest;
    this.heard(state);
  }

  again(delay = Math.min(LONGEST, 500 * 2 ** this.tries) * (0.75 + Math.random() / 2)) {
    const old = this.socket;
    this.socket = null;
    old?.close();
    this.tries++;
    this.show("reconnecting");
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), delay);
  }

  watch() {
    const silent = Date.now() - this.last;
    if (this.socket && silent > SILENCE) this.again(0);
    const wait = this.state === "live" ? REPAIR : ALONE;
    if (Date.now() - (this.asked ?? 0) > wait && !document.hidden) this.ask();
  }

  async ask() {
    this.asked = Date.now();
    try {
      this.take(await get("/api/events"));
    } catch { /* shown as reconnecting; asked again */ }
  }

  show(state) {
    this.state = state;
    const shown = at("connection");
    if (shown.dataset.state === state) return;
    shown.dataset.state = state;
    shown.lastElementChild.textContent = state === "live" ? "connected" : `${state} …`;
  }
}
