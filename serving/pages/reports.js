// What jobs reported, asked for once: figures and lines after those that are known.
import { get } from "./api.js";

const PAGE = 1000;
const LONGEST = 400; // lines that are kept of a job

const known = new Map(); // job and kind → what came so far
let reported = {}; // running job → [attempt, last event], as the server told it

export const hear = (news) => { reported = news; };
export const forget = (number) => known.delete(`${number} line`);

async function fetched(job, kind) {
  const name = `${job.id} ${kind}`;
  const own = known.get(name) ?? { fence: 0, seq: 0, found: [], place: null, under: null };
  known.set(name, own);
  const place = String(reported[job.id] ?? [job.fence, job.state]);
  if (own.place === place) return own.found;
  own.under ??= more(job, kind, own, place).finally(() => { own.under = null; });
  await own.under;
  return own.found;
}

async function more(job, kind, own, place) {
  for (;;) {
    const events = await get(`/api/jobs/${job.id}/events?kind=${kind}&fence=${own.fence}&after=${own.seq}&limit=${PAGE}`);
    for (const event of events) {
      if (event.fence !== own.fence) Object.assign(own, { fence: event.fence, found: [] }); // another attempt begins anew
      own.seq = event.seq;
      own.found.push(event.payload);
    }
    own.found = own.found.slice(kind === "line" ? -LONGEST : 0);
    if (events.length < PAGE) break;
  }
  own.place = place;
}

export const rowsOf = (job) => fetched(job, "figures");
export const linesOf = (job) => fetched(job, "line");
