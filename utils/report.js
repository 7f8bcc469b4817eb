"use strict";

const root = document.documentElement;
const color = (name) => getComputedStyle(root).getPropertyValue(name).trim();
const narrow = () => window.innerWidth < 500;

// "var(--name)" anywhere in a figure becomes the colour of the theme shown
function themed(value) {
  if (typeof value === "string") return value.startsWith("var(--") ? color(value.slice(4, -1)) : value;
  if (Array.isArray(value)) return value.map(themed);
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, themed(v)]));
  return value;
}

function axis(own) {
  if (narrow() && own.categoryarray?.length > 12) own.showticklabels = false;
  return {
    gridcolor: color("--line"), zerolinecolor: color("--line"), linecolor: color("--line"), automargin: true,
    ticks: "", tickfont: { color: color("--soft"), size: narrow() ? 10 : 11.5 }, fixedrange: narrow(), separatethousands: true, ...own,
    title: { standoff: 12, font: { color: color("--soft"), size: 12 }, ...own.title },
  };
}

function layout(own) {
  const { xaxis, yaxis, ...rest } = themed(own);
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", margin: { l: 8, r: 8, t: 8, b: 8 }, autosize: true,
    font: { family: getComputedStyle(document.body).fontFamily, color: color("--ink"), size: 12 },
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { color: color("--soft"), size: 12 } },
    hoverlabel: { bgcolor: color("--raised"), bordercolor: color("--line"), font: { color: color("--ink"), size: 12 } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: color("--soft"), activecolor: color("--ink") },
    bargap: 0.25, bargroupgap: 0.08, ...rest, xaxis: axis(xaxis), yaxis: axis(yaxis),
  };
}

const settings = { responsive: true, displaylogo: false, modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]] };

function draw(plot) {
  const figure = JSON.parse(plot.parentElement.querySelector('script[type="application/json"]').textContent);
  return Plotly.react(plot, themed(figure.data), layout(figure.layout), { ...settings, displayModeBar: narrow() ? false : "hover" });
}

// hidden charts have no size: they are drawn when they are chosen
const drawAll = () => document.querySelectorAll("figure:not([hidden]) > .plot").forEach(draw);

function choose(group, number) {
  group.querySelectorAll(".buttons button").forEach((button, i) => button.setAttribute("aria-pressed", i === number));
  group.querySelectorAll("figure").forEach((figure, i) => { figure.hidden = i !== number; });
  draw(group.querySelectorAll(".plot")[number]);
}

document.querySelectorAll(".charts.choice").forEach((group) =>
  group.querySelectorAll(".buttons button").forEach((button, i) => button.addEventListener("click", () => choose(group, i))));

// what is missing stays last in both directions
function compare(a, b, numeric) {
  if (a === "" || b === "") return { missing: (a === "") - (b === "") };
  return { order: numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }) };
}

function sortBy(table, column) {
  const heading = table.tHead.rows[0].cells[column];
  const numeric = !heading.classList.contains("text");
  const down = heading.getAttribute("aria-sort") === "ascending";
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    const { missing, order } = compare(a.cells[column].dataset.key, b.cells[column].dataset.key, numeric);
    return missing ?? (down ? -order : order);
  });
  [...table.tHead.rows[0].cells].forEach((cell) => cell.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].append(...rows);
}

document.querySelectorAll("table").forEach((table) =>
  [...table.tHead.rows[0].cells].forEach((cell, i) => cell.querySelector("button").addEventListener("click", () => sortBy(table, i))));

document.querySelectorAll(".table input").forEach((input) =>
  input.addEventListener("input", () => {
    const wanted = input.value.trim().toLowerCase();
    for (const row of input.parentElement.querySelectorAll("tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }));

const system = matchMedia("(prefers-color-scheme: dark)");
const remembered = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
if (remembered) root.dataset.theme = remembered;

document.getElementById("theme").addEventListener("click", () => {
  const dark = (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a page opened from a file may have no storage */ }
  drawAll();
});
system.addEventListener("change", drawAll);
window.addEventListener("load", drawAll);
