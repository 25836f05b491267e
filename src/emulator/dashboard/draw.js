// The dashboard that every embedded page of the emulator shows: cards, a chart and a table of made-up sales.
"use strict";

const PRODUCTS = [["hardware", "#2f6fde"], ["services", "#17a398"], ["licences", "#f2a541"]];

const find = (id) => document.getElementById(id);

function money(thousands) {
  return `$${(thousands / 1000).toFixed(1)}m`;
}

function drawSales(sales) {
  const rows = sales.map((row) => ({ ...row, revenue: row.hardware + row.services + row.licences }));
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  const best = byMonth(rows).reduce((top, row) => (row.revenue > (top ? top.revenue : 0) ? row : top), null);
  find("revenue").textContent = rows.length ? money(sum("revenue") / 1000) : "–";
  find("orders").textContent = rows.length ? sum("orders").toLocaleString("en") : "–";
  find("best").textContent = best ? monthName(best.month) : "–";
  find("refreshed").textContent = `refreshed ${new Date().toLocaleTimeString("en-GB")}`;
  document.body.dataset.rows = String(rows.length);
  legend();
  chart(byMonth(rows));
  table(rows);
}

// One bar for a month, however many regions are seen.
function byMonth(rows) {
  const months = new Map();
  for (const row of rows) {
    const sum = months.get(row.month) || { month: row.month, revenue: 0, hardware: 0, services: 0, licences: 0 };
    for (const name of ["revenue", "hardware", "services", "licences"]) sum[name] += row[name];
    months.set(row.month, sum);
  }
  return [...months.values()];
}

// Shows why there is nothing to see, or takes that back.
function state(name, why) {
  document.body.dataset.state = name;
  find("error").classList.toggle("on", Boolean(why));
  find("why").textContent = why || "";
}

function monthName(month) {
  return new Date(`${month}-01T00:00:00Z`).toLocaleDateString("en", { month: "short", timeZone: "UTC" });
}

function legend() {
  find("legend").replaceChildren(...PRODUCTS.map(([name, colour]) => {
    const entry = document.createElement("span");
    const mark = document.createElement("i");
    mark.style.background = colour;
    entry.append(mark, name);
    return entry;
  }));
}

function shape(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

function chart(rows) {
  const svg = find("chart");
  const [width, height] = [svg.clientWidth || 640, 164];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const [left, bottom, top] = [38, 18, 8];
  const most = Math.max(1, ...rows.map((row) => row.revenue)) * 1.05;
  const y = (value) => top + (1 - value / most) * (height - bottom - top);
  const drawn = [];
  for (const part of [0, 0.5, 1]) {
    const value = (most / 1.05) * part;
    drawn.push(shape("line", { x1: left, x2: width, y1: y(value), y2: y(value), stroke: "#e4e9ef" }));
    drawn.push(shape("text", { x: left - 6, y: y(value) + 3, "text-anchor": "end" }, money(value / 1000)));
  }
  const step = (width - left) / Math.max(1, rows.length);
  rows.forEach((row, place) => {
    let reached = 0;
    const x = left + step * place + step * 0.18;
    for (const [name, colour] of PRODUCTS) {
      const tall = y(reached) - y(reached + row[name]);
      reached += row[name];
      drawn.push(shape("rect", { x, y: y(reached), width: step * 0.64, height: Math.max(0, tall - 1), rx: 2, fill: colour }));
    }
    drawn.push(shape("text", { x: x + step * 0.32, y: height - 4, "text-anchor": "middle" }, monthName(row.month)));
  });
  if (!rows.length) {
    drawn.push(shape("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "No rows for this viewer"));
  }
  svg.replaceChildren(...drawn);
}

function table(rows) {
  find("rows").replaceChildren(...rows.slice(-5).reverse().map((row) => {
    const line = document.createElement("tr");
    const cells = [monthName(row.month), row.region, row.orders.toLocaleString("en"), money(row.revenue / 1000),
      `$${Math.round((row.revenue) / Math.max(1, row.orders)).toLocaleString("en")}`];
    line.append(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return line;
  }));
}
