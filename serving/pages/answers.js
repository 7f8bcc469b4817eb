// What was predicted for one image, drawn: bars, values, a mask over the image.
import { el, percent } from "./dom.js";

function bars(entries, kind = () => "") {
  return el("ol", { className: "bars", data: { testid: "bars" } }, entries.map(({ name, share, color }, place) => {
    const inner = el("i", { data: { share } });
    inner.style.width = `${Math.min(100, 100 * share).toFixed(2)}%`;
    const words = el("span", { data: { testid: "class" } }, name);
    if (color) {
      const swatch = el("i", { className: "swatch" });
      swatch.style.background = color;
      inner.className = "painted";
      inner.style.background = color;
      words.prepend(swatch);
    }
    return el("li", { className: kind(place) }, words, el("span", { className: "share" }, percent(share)),
      el("span", { className: "track", "aria-hidden": "true" }, inner));
  }));
}

const exact = (value) => (value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(3) : value.toLocaleString("en", { maximumSignificantDigits: 6 }));
const named = (top) => top.map((one) => ({ name: one.class, share: one.probability }));

// The colour of a class in a mask, as the server paints it (Pascal VOC): each bit of its number goes to a high bit.
function colorOf(number) {
  const channel = (first) => [...Array(8).keys()].reduce((sum, place) => sum | (((number >> (3 * place + first)) & 1) << (7 - place)), 0);
  return `rgb(${channel(0)} ${channel(1)} ${channel(2)})`;
}

function masked(found, picture) {
  const mask = el("img", { className: "mask", alt: "", src: found.mask, data: { testid: "mask" } });
  const strength = el("input", { type: "range", min: 0, max: 100, value: 55, "aria-label": "how much of the mask is seen" });
  const show = () => { mask.style.opacity = strength.value / 100; };
  strength.addEventListener("input", show);
  show();
  picture.querySelector(".mask")?.remove();
  picture.append(mask);
  const shares = found.shares.map((one, number) => ({ name: one.class, share: one.share, color: colorOf(number) }));
  return [bars(shares.filter((one) => one.share > 0).sort((a, b) => b.share - a.share)), el("label", { className: "field" }, "mask", strength)];
}

// found: one of the answer's predictions. picture: where a mask is laid over the image. few: so many labels that are not given.
export function drawn(found, picture, few) {
  if (found.error) return [el("p", { className: "failure" }, found.error)];
  if (found.top) return [bars(named(found.top))];
  if (found.labels) return labels(found.labels.filter((one, place) => one.given || place < few));
  if (found.values) return [el("dl", { className: "values" }, found.values.map((one) => el("div", {}, el("dt", {}, one.target), el("dd", { data: { testid: "value" } }, exact(one.value)))))];
  if (found.heads) return [el("div", { className: "heads" }, found.heads.map((one) => el("div", {}, el("h3", {}, one.head), bars(named(one.top)))))];
  return masked(found, picture);
}

const labels = (shown) => [bars(named(shown), (place) => (shown[place].given ? "given" : "")), el("p", { className: "note" }, given(shown))];

function given(labels) {
  const names = labels.filter((one) => one.given).map((one) => one.class);
  return names.length ? `given: ${names.join(", ")}` : "none of the labels is given";
}
