// A question before something is done that others see.
import { button, el, refocus } from "./dom.js";

// Resolves to the form's data, or null where the person thinks better of it.
export function sure(title, explained, act, ...controls) {
  const { keep } = document.activeElement.dataset;
  return new Promise((resolve) => {
    const form = el("form", { method: "dialog" }, el("h2", {}, title), el("p", { className: "note" }, explained), controls,
      el("div", { className: "row" }, button("Leave it", () => dialog.close()), button(act, () => {}, { kind: "main", type: "submit", "data-testid": "sure" })));
    const dialog = el("dialog", { "aria-label": title, data: { testid: "dialog" } }, form);
    form.addEventListener("submit", () => resolve(new FormData(form)));
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (keep && document.activeElement === document.body) refocus(document.body, keep); // drawn anew meanwhile
      resolve(null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

export const check = (name, words, testid = name) =>
  el("label", { className: "check" }, el("input", { type: "checkbox", name, data: { testid } }), el("span", {}, words));
