// "That is wrong": the right class, another word, or only that it is wrong. Image and label go back into training.
import { button, el } from "./dom.js";
import { call } from "./api.js";

const FEW = 24; // classes up to which each has a button

// asked: {file, endpoint, id, classes, said}. done: called with words when it is kept.
export function correction(asked, done) {
  const note = el("p", { className: "note", role: "status" }, "What is it really? Your answer and the image are kept for the next training.");
  const other = el("input", { className: "entry", maxlength: 200, placeholder: asked.classes.length ? "something else" : "the right answer", "aria-label": "another answer", data: { testid: "other" } });
  const form = el("form", { className: "correct", data: { testid: "correction" } });

  async function send(label) {
    form.querySelectorAll("button").forEach((one) => { one.disabled = true; });
    try {
      await call("POST", "/api/feedback", { body: packed(asked, label) });
      done(label === null ? "Kept as wrong; somebody will label it." : `Kept as “${label}”.`);
    } catch (error) {
      note.textContent = error.message;
      note.className = "failure";
      form.querySelectorAll("button").forEach((one) => { one.disabled = false; });
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (other.value.trim()) send(other.value.trim());
  });
  form.append(note, choices(asked, send), el("div", { className: "row" }, other, button("Keep this", () => {}, { type: "submit", "data-testid": "keep" })),
    el("div", { className: "row" }, button("Wrong, but I do not know what it is", () => send(null), { kind: "small", "data-testid": "unknown" })));
  return form;
}

function choices({ classes, said }, send) {
  const right = classes.filter((name) => name !== said);
  if (classes.length <= FEW) return el("div", { className: "chips" }, right.map((name) => button(name, () => send(name), { kind: "small", "data-testid": "class-choice" })));
  const select = el("select", { className: "entry", "aria-label": "the right class", data: { testid: "class-choice" } }, el("option", { value: "" }, "choose the right class"), right.map((name, place) => el("option", { value: String(place) }, name)));
  select.addEventListener("change", () => { if (select.value) send(right[Number(select.value)]); });
  return select;
}

function packed({ file, endpoint, id }, label) {
  const body = new FormData();
  body.append("image", file);
  body.append("endpoint", endpoint);
  if (id) body.append("prediction", id);
  if (label !== null) body.append("label", label);
  return body;
}
