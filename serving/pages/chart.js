// Curves, drawn by hand: a figure that keeps its size, light or dark, and tells values under the pointer.
import { el, percent, short, svg } from "./dom.js";

const HEIGHT = 150;
const EDGE = { left: 46, right: 12, top: 10, bottom: 22 };
export const FEW = 4; // curves up to which each is named in the caption
const MOST = 9; // of more, those with a colour of their own

// About `wanted` round numbers that cover the range.
export function ticks(low, high, wanted = 5) {
  const rough = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  const found = [];
  for (let place = first; place * step <= high + step * 1e-9; place++) found.push(Number((place * step).toPrecision(12)));
  return found;
}

const ends = (values) => [Math.min(...values), Math.max(...values)];

export class Chart {
  // share: values between 0 and 1, shown in per cent. spoken: a place along the axis in words.
  constructor(title, { share = false, spoken = (x) => `step ${short(x)}` } = {}) {
    Object.assign(this, { title, share, spoken, series: [], span: null });
    this.caption = el("figcaption", {});
    this.canvas = svg("svg", { height: HEIGHT, role: "img", "aria-label": title });
    this.node = el("figure", { className: "chart", data: { testid: "chart" } }, this.caption, this.canvas);
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.tell());
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  // series: [{name, color, dashed, points: [[x, y], …]}]; color is train, val, accent, line, wrong, first, … or fourth.
  // span: from where to where along the axis; else as far as there are points.
  update(series, span = null) {
    const told = JSON.stringify([series, span]);
    if (told === this.told) return;
    this.told = told;
    this.span = span;
    this.series = series.filter((one) => one.points.length);
    this.draw();
  }

  value(number) { return this.share ? percent(number) : short(number); }

  // Where there is no point it takes no room.
  draw() {
    this.node.hidden = !this.series.length;
    this.width = this.node.clientWidth;
    if (!this.width) return;
    this.canvas.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    this.canvas.replaceChildren();
    this.tell();
    const points = this.series.flatMap((one) => one.points);
    this.scale(this.span ?? ends(points.map(([x]) => x)), ends(points.map(([, y]) => y)));
    this.canvas.append(...this.grid(), ...this.series.map((one) => this.curve(one)), ...this.series.map((one) => this.dot(one)));
    this.rule = svg("line", { class: "rule", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
    this.canvas.append(this.rule);
  }

  scale([left, right], [low, high]) {
    const pad = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    const [bottom, top] = this.share ? [Math.max(0, low - pad), Math.min(1, high + pad)] : [low - pad, high + pad];
    this.range = { left, right, bottom, top };
    this.x = (x) => EDGE.left + ((x - left) / (right - left || 1)) * (this.width - EDGE.left - EDGE.right);
    this.y = (y) => HEIGHT - EDGE.bottom - ((y - bottom) / (top - bottom || 1)) * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  grid() {
    const { left, right, bottom, top } = this.range;
    const lines = ticks(bottom, top).map((y) => [
      svg("line", { class: "grid", x1: EDGE.left, x2: this.width - EDGE.right, y1: this.y(y), y2: this.y(y) }),
      svg("text", { x: EDGE.left - 8, y: this.y(y) + 4, "text-anchor": "end" }, this.share ? `${short(100 * y)} %` : short(y)),
    ]).flat();
    const below = [...new Set([left, right])].map((x, place) =>
      svg("text", { x: this.x(x), y: HEIGHT - 5, "text-anchor": place ? "end" : "start" }, this.spoken(x)));
    return [...lines, ...below];
  }

  curve({ name, color, dashed, points }) {
    const path = points.map(([x, y], place) => `${place ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(y).toFixed(1)}`).join("");
    return svg("path", { class: `curve c-${color}${dashed ? " dashed" : ""}`, d: path }, svg("title", {}, name));
  }

  dot({ color, points }) {
    const [x, y] = points.at(-1);
    return svg("circle", { class: `dot f-${color}`, cx: this.x(x), cy: this.y(y), r: 3.5 });
  }

  // The caption: the last values, or those under the pointer.
  tell(place = null) {
    const marked = this.series.filter((one) => one.color !== "line").slice(0, MOST);
    const shown = this.series.length <= FEW ? this.series : place ? [place.near] : marked;
    const values = shown.map((one) => el("span", { className: `key c-${one.color}` }, el("i", { className: one.dashed ? "dashed" : "" }), `${one.name} ${this.value(nearest(one.points, place?.x ?? Infinity)[1])}`));
    this.caption.replaceChildren(el("strong", {}, this.title), ...values, place ? this.spoken(place.x) : "");
    if (!place) this.rule?.setAttribute("visibility", "hidden");
  }

  point(event) {
    if (!this.series.length) return;
    const box = this.canvas.getBoundingClientRect();
    const { left, right } = this.range;
    const wanted = left + ((event.clientX - box.left - EDGE.left) / (this.width - EDGE.left - EDGE.right)) * (right - left);
    const x = nearest(this.series.flatMap((one) => one.points), wanted)[0];
    const height = event.clientY - box.top;
    const off = (one) => Math.abs(this.y(nearest(one.points, x)[1]) - height);
    const near = [...this.series].sort((a, b) => off(a) - off(b))[0];
    for (const key of ["x1", "x2"]) this.rule.setAttribute(key, this.x(x));
    this.rule.setAttribute("visibility", "visible");
    this.tell({ x, near });
  }
}

const nearest = (points, x) => (x === Infinity ? points.at(-1) : points.reduce((best, one) => (Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best)));
