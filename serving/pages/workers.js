// Who trains.
import { at, el, fill, keyed, tag, when } from "./dom.js";
import { get } from "./api.js";

let workers = [];

export async function refreshWorkers() {
  workers = await get("/api/workers");
}

export function drawWorkers(jobs) {
  const doing = new Map(jobs.filter((job) => job.state === "running").map((job) => [job.worker_id, job]));
  const shown = workers.filter((one) => one.active || doing.has(one.id));
  const gone = workers.length - shown.length;
  const list = at("workers");
  if (!list.list) {
    list.list = el("ul", { className: "list", data: { testid: "workers" } });
    list.rest = el("p", { className: "note" });
    list.append(list.list, list.rest);
  }
  keyed(list.list, shown, (one) => one.id, () => el("li", { className: "worker" }), (node, one) => fill(node, ...described(one, doing.get(one.id))));
  list.rest.hidden = shown.length > 0 && !gone;
  fill(list.rest, ...(shown.length ? [gone ? `and ${gone} that ${gone > 1 ? "were" : "was"} not heard of lately` : ""] : joining()));
}

function described(one, job) {
  return [
    el("div", { className: "row" }, el("h3", { data: { testid: "worker-name" } }, one.name), one.quiet ? tag("silent", "bad") : job ? tag(`job ${job.id}`, "busy") : tag("waits for work", "good")),
    el("span", { className: "note" }, "heard of ", when(one.seen)),
    el("p", { className: "note" }, [one.machine, ...one.declared].join(" · ")),
  ];
}

const joining = () => [el("div", { className: "empty" }, el("h3", {}, "No worker is here"),
  el("p", { className: "note" }, "Start one on any machine that has a checkout:"),
  el("pre", {}, el("code", {}, `python -m serving.worker serving.server=${location.origin}`)))];
