// The labelling page: one image at a time, by keys 1 to 9 (then q, w, e, …) or by a click.
const KEYS = "1234567890qwertzop".split("");
const at = (id) => document.getElementById(id);
const labeller = (() => {
  const known = sessionStorage.getItem("labeller") ?? crypto.getRandomValues(new Uint32Array(2)).join("-");
  sessionStorage.setItem("labeller", known);
  return known;
})();
let current = null; // what /next said last
let busy = false;

async function post(path, body = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ labeller, ...body }),
  });
  if (!answer.ok) throw new Error((await answer.text()) || answer.statusText);
  return answer.json();
}

function draw(classes) {
  if (at("classes").dataset.names === JSON.stringify(classes)) return;
  at("classes").dataset.names = JSON.stringify(classes);
  at("classes").replaceChildren(...classes.map((name, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.label = name;
    if (number < KEYS.length) {
      const key = document.createElement("kbd");
      key.textContent = KEYS[number];
      button.append(key);
    }
    button.append(name);
    button.addEventListener("click", () => give(name));
    return button;
  }));
}

function show(next) {
  current = next;
  const labelling = next.state === "label";
  for (const button of document.querySelectorAll("#classes button, #skip, #guess")) button.disabled = !labelling;
  at("image").hidden = !labelling;
  if (next.classes) {
    draw(next.classes);
    at("round").textContent = `Round ${next.round + 1}`;
    at("progress").value = next.done / next.total;
    at("count").textContent = `${next.done} of ${next.total} · ${next.labels} of ${next.budget} labels in all`;
  }
  for (const button of document.querySelectorAll("#classes button")) {
    button.disabled = !labelling;
    button.classList.remove("guessed");
  }
  at("note").textContent = { label: next.again ? "has a label that looks wrong: label it again" : "",
    out: "the last images are with other labellers", training: "the model is being trained …" }[next.state];
  if (labelling) at("image").src = `/image/${next.image}`;
}

async function guarded(act) {
  if (busy) return;
  busy = true;
  try {
    await act();
  } catch (error) {
    at("note").textContent = `not saved: ${error.message}`;
  } finally {
    busy = false;
  }
}

const forward = async () => show(await post("/next"));

const give = (label) => guarded(async () => {
  if (current?.state !== "label") return;
  await post("/answer", { image: current.image, label });
  await forward();
});

const undo = () => guarded(async () => {
  await post("/undo");
  await forward();
});

const guess = () => guarded(async () => {
  if (current?.state !== "label") return;
  const said = await (await fetch(`/guess/${current.image}`)).json();
  at("note").textContent = said.label === null ? "there is no model yet"
    : `the model says ${said.label}, ${Math.round(100 * said.probability)} % sure`;
  for (const button of document.querySelectorAll("#classes button"))
    button.classList.toggle("guessed", button.dataset.label === said.label);
});

at("image").addEventListener("load", () => at("image").classList.toggle("pixels", at("image").naturalWidth < 128));
at("skip").addEventListener("click", () => give(null));
at("undo").addEventListener("click", undo);
at("guess").addEventListener("click", guess);
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const acts = { s: () => give(null), u: undo, Backspace: undo, g: guess };
  const number = KEYS.indexOf(event.key);
  if (number >= 0 && current?.classes && number < current.classes.length) give(current.classes[number]);
  else acts[event.key]?.();
});
setInterval(() => { if (current?.state !== "label") guarded(forward); }, 700);
guarded(forward);
