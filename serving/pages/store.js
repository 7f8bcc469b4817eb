// The store's page: asks for what the server says is new, section by section.
import { at } from "./dom.js";
import { head, identify, patiently, takeToken } from "./api.js";
import { Live } from "./live.js";
import { drawDeployments } from "./deployments.js";
import { drawHistory, lines, refreshHistory } from "./history.js";
import { countJobs, jobs, refreshJobs, refreshRunning, showModels } from "./jobs.js";
import { models, refreshModels } from "./models.js";
import { watchEndpoints } from "./monitoring.js";
import { hear } from "./reports.js";
import { drawSubmission, offer } from "./submission.js";
import { learn } from "./vocabulary.js";
import { drawWorkers, refreshWorkers } from "./workers.js";

const WORKERS = 5000; // ms between two looks at who is there

let marks = {};
let state = null;

// Runs one at a time; what is asked for meanwhile runs once more after it. A refusal is tried again with the next news.
function serial(act) {
  let running = null;
  let again = false;
  return async function run() {
    again = true;
    running ??= (async () => {
      try {
        while (again) {
          again = false;
          await act();
        }
      } finally {
        running = null;
      }
    })();
    return running;
  };
}

const ask = {
  models: serial(async () => {
    await refreshModels([...new Set(state.deployments.flatMap((row) => [row.model_id, row.shadow_id, row.canary_id]))].filter((id) => id !== null));
    showModels(models);
    drawHistory(models);
    drawDeployments(state, models, lines);
  }),
  jobs: serial(async () => {
    await refreshJobs();
    drawWorkers(jobs);
  }),
  reports: serial(refreshRunning),
  workers: serial(async () => {
    await refreshWorkers();
    drawWorkers(jobs); // with those that came meanwhile
  }),
  history: serial(async () => {
    await refreshHistory();
    await ask.models();
  }),
};

async function heard(news) {
  state = news;
  hear(news.reported);
  countJobs(news.jobs);
  drawDeployments(state, models, lines);
  watchEndpoints(news.deployments.map((one) => one.name));
  const now = { ...news.marks, reports: news.reported };
  const changed = Object.keys(ask).filter((name) => JSON.stringify(marks[name]) !== JSON.stringify(now[name]));
  await Promise.all(changed.map(async (name) => {
    try {
      await ask[name]();
      marks[name] = now[name];
    } catch {
      delete marks[name]; // with the next news, or the next look
    }
  }));
}

async function begin() {
  head();
  takeToken();
  drawSubmission();
  await patiently(identify);
  await patiently(learn);
  offer();
  new Live(heard).start();
  setInterval(() => { if (!document.hidden) ask.workers().catch(() => {}); }, WORKERS);
}

at("store").addEventListener("submit", (event) => event.preventDefault());
begin();
