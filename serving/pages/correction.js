// "That is wrong": what it really is, in the words of the task, or only that it is wrong. Image and label go back into training.
import { button, el } from "./dom.js";
import { call } from "./api.js";

const FEW = 24; // classes up to which each has a button
const SEVERAL = "|"; // between the labels of one image; alone: none of them

// asked: {file, endpoint, id, task, classes, found}, found being the prediction. done: called with words when it is kept.
export function correction(asked, done) {
  const note = el("p", { className: "note", role: "status" }, "What is it really? Your answer and the image are kept for the next training.");
  const form = el("form", { className: "correct", data: { testid: "correction" } });
  const answer = (ANSWERS[asked.task] ?? inWords)(asked, send);

  async function send(label) {
    if (form.ariaBusy) return;
    form.ariaBusy = "true";
    try {
      await call("POST", "/api/feedback", { body: packed(asked, label) });
      done(said(label));
    } catch (error) {
      note.textContent = error.message;
      note.className = "failure";
      form.ariaBusy = null;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const label = answer.label();
    if (label) send(label);
  });
  form.append(note, ...answer.nodes, el("div", { className: "row" }, button("Keep this", () => {}, { type: "submit", "data-testid": "keep" }),
    button("Wrong, but I do not know what it is", () => send(null), { kind: "plain", "data-testid": "unknown" })));
  return form;
}

function said(label) {
  if (label === null) return "Kept as wrong; somebody will label it.";
  return label === SEVERAL ? "Kept as none of the labels." : `Kept as “${label.split(SEVERAL).join(", ")}”.`;
}

// By task: what is shown, and the label that it stands for.
const ANSWERS = { classification: oneClass, multilabel: someLabels, heads: oneOfEach, regression: numbers };

function inWords(asked, send, placeholder = "what is wrong") {
  const other = el("input", { className: "entry", maxlength: 200, placeholder, "aria-label": "another answer", data: { testid: "other" } });
  return { nodes: [other], label: () => other.value.trim() };
}

function oneClass(asked, send) {
  const right = asked.classes.filter((name) => name !== asked.found.top?.[0].class);
  const words = inWords(asked, send, right.length ? "something else" : "the right answer");
  if (asked.classes.length <= FEW) return { nodes: [chips(right, send), ...words.nodes], label: words.label };
  const select = choice("the right class", right);
  return { nodes: [select, ...words.nodes], label: () => words.label() || right[select.value] };
}

const chips = (names, send) => el("div", { className: "chips" }, names.map((name) => button(name, () => send(name), { kind: "small", "data-testid": "class-choice" })));

// Arrow keys change it on their way to another one: it is for a button to send it.
function choice(label, names, first = null) {
  return el("select", { className: "entry", "aria-label": label, data: { testid: "class-choice" } }, el("option", { value: "" }, `choose ${label}`), names.map((name, place) => el("option", { value: String(place), selected: name === first }, name)));
}

function someLabels({ classes, found }) {
  const given = new Set(found.labels.filter((one) => one.given).map((one) => one.class));
  const boxes = classes.map((name) => el("input", { type: "checkbox", checked: given.has(name), data: { testid: "label-choice" } }));
  const ticked = () => classes.filter((name, place) => boxes[place].checked);
  return { nodes: [el("fieldset", { className: "chips", "aria-label": "all labels that it has" }, classes.map((name, place) => el("label", { className: "check" }, boxes[place], name)))], label: () => ticked().join(SEVERAL) || SEVERAL };
}

function oneOfEach({ classes, found }) {
  const selects = found.heads.map(({ head, top }) => {
    const names = classes.filter((name) => name.startsWith(`${head}=`)).map((name) => name.slice(head.length + 1));
    return { head, names, select: choice(head, names, top[0].class) };
  });
  const label = () => (selects.every(({ select }) => select.value) ? selects.map(({ head, names, select }) => `${head}=${names[Number(select.value)]}`).join(SEVERAL) : "");
  return { nodes: selects.map(({ head, select }) => el("label", { className: "field" }, head, select)), label };
}

function numbers({ found }) {
  const inputs = found.values.map(({ value }) => el("input", { type: "number", step: "any", required: true, value: String(Number(value.toPrecision(6))), data: { testid: "number" } }));
  return { nodes: found.values.map(({ target }, place) => el("label", { className: "field" }, target, inputs[place])), label: () => inputs.map((one) => one.value).join(SEVERAL) };
}

function packed({ file, endpoint, id }, label) {
  const body = new FormData();
  body.append("image", file);
  body.append("endpoint", endpoint);
  if (id) body.append("prediction", id);
  if (label !== null) body.append("label", label);
  return body;
}
