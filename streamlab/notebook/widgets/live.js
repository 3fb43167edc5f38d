// One live panel: a line of figures, a chart on a canvas, a table, a note.
// Whatever comes from the kernel is put in as textContent: it can be no markup.

const COLORS = ["#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#eeca3b", "#9d755d"];
const WIDTH = 640, HEIGHT = 150, LEFT = 54, BOTTOM = 18, TOP = 8;
const SILENT_MS = 15000;

function make(tag, css, parent) {
  const node = document.createElement(tag);
  if (css) node.className = css;
  if (parent) parent.appendChild(node);
  return node;
}

function figure(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) return Number((value / size).toPrecision(3)) + " " + unit;
  }
  return String(Number(value.toPrecision(3)));
}

function fill(row, tag, values, right) {
  values.forEach((value, i) => {
    const cell = make(tag, right.includes(i) ? "n" : "", row);
    cell.textContent = value === null ? "∅" : value;
    if (value !== null && value.length > 40) cell.title = value;
  });
}

function table(place, content, pick) {
  place.replaceChildren();
  if (!content.columns.length) return;
  const shown = make("table", "", place);
  const picks = content.picks || [];
  const head = make("tr", "", make("thead", "", shown));
  if (picks.length) make("th", "", head);
  fill(head, "th", content.columns, content.right);
  const body = make("tbody", "", shown);
  content.rows.forEach((values, i) => {
    const row = make("tr", "", body);
    if (picks.length) {
      const button = make("button", "sl-pick", make("td", "", row));
      button.textContent = "+ case";
      button.title = `Use this event as a test case (${picks[i]})`;
      button.onclick = () => pick(picks[i], button);
    }
    fill(row, "td", values, content.right);
  });
}

function facts(place, pairs) {
  place.replaceChildren();
  for (const [label, value] of pairs) {
    const fact = make("span", "sl-fact", place);
    make("b", "", fact).textContent = value;
    fact.append(" " + label);
  }
}

function legend(place, names) {
  place.replaceChildren();
  names.forEach((name, i) => {
    const entry = make("span", "sl-entry", place);
    make("i", "", entry).style.background = COLORS[i % COLORS.length];
    entry.append(name);
  });
}

function points(model, lines) {
  const view = model.get("points");
  if (!lines || !view || !view.byteLength) return [];
  const all = new Float64Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const length = all.length / lines;
  return Array.from({ length: lines }, (_, i) => all.subarray(i * length, (i + 1) * length));
}

function sheet(canvas) {
  const ratio = window.devicePixelRatio || 1;
  canvas.width = WIDTH * ratio;
  canvas.height = HEIGHT * ratio;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = pen.strokeStyle = getComputedStyle(canvas).color;
  return pen;
}

function ceiling(values) {
  let top = 0;
  for (const value of values) if (value > top) top = value;
  const step = 10 ** Math.floor(Math.log10(top || 1));
  return [1, 2, 5, 10].find((n) => n * step >= top) * step || 1;
}

function scale(pen, round, right, bottom) {
  pen.textAlign = "right";
  for (const part of [0, 0.5, 1]) {
    const y = bottom - part * (bottom - TOP);
    pen.globalAlpha = 0.18;
    pen.beginPath(); pen.moveTo(LEFT, y); pen.lineTo(right, y); pen.stroke();
    pen.globalAlpha = 0.75;
    pen.fillText(figure(round * part), LEFT - 6, y + 4);
  }
}

function chart(canvas, lines, content) {
  canvas.hidden = !content.bars.length && (!lines.length || lines[0].length < 2);
  if (canvas.hidden) return;
  if (content.bars.length) return histogram(canvas, content.bars, content.unit);
  const pen = sheet(canvas);
  const bottom = HEIGHT - BOTTOM, right = WIDTH - 8;
  const round = ceiling(lines.flatMap((line) => Array.from(line)));
  scale(pen, round, right, bottom);
  pen.textAlign = "left";
  pen.fillText(`${Math.round(content.span_s)} s ago`, LEFT, HEIGHT - 4);
  pen.textAlign = "right";
  pen.fillText(`now · ${content.unit}`, right, HEIGHT - 4);
  pen.globalAlpha = 1;
  pen.lineWidth = 1.6;
  lines.forEach((line, i) => {
    pen.strokeStyle = COLORS[i % COLORS.length];
    pen.beginPath();
    line.forEach((value, at) => {
      const x = LEFT + (at / (line.length - 1)) * (right - LEFT);
      const y = bottom - (value / round) * (bottom - TOP);
      if (at) pen.lineTo(x, y); else pen.moveTo(x, y);
    });
    pen.stroke();
  });
}

function histogram(canvas, bars, unit) {
  const pen = sheet(canvas);
  const bottom = HEIGHT - BOTTOM, right = WIDTH - 8;
  const round = ceiling(bars.map(([, count]) => count));
  scale(pen, round, right, bottom);
  const step = (right - LEFT) / bars.length;
  bars.forEach(([name, count], i) => {
    const x = LEFT + i * step, height = (count / round) * (bottom - TOP);
    pen.globalAlpha = 1;
    pen.fillStyle = COLORS[0];
    pen.fillRect(x + step * 0.08, bottom - height, step * 0.84, height);
    // Names are longer than bars are wide: as many as there is room for.
    if (i % Math.ceil(70 / step)) return;
    pen.globalAlpha = 0.75;
    pen.fillStyle = pen.strokeStyle;
    pen.textAlign = "left";
    pen.fillText(name, x, HEIGHT - 4);
  });
  pen.globalAlpha = 0.75;
  pen.fillStyle = pen.strokeStyle;
  pen.textAlign = "right";
  pen.fillText(unit, right, TOP + 14);
}

function render({ model, el }) {
  const root = make("div", "streamlab sl-live", el);
  const head = make("div", "sl-head", root);
  const dot = make("span", "sl-dot", head);
  const title = make("span", "sl-title", head);
  const state = make("span", "sl-note", head);
  const stop = make("button", "sl-stop", head);
  stop.textContent = "Stop";
  const figures = make("div", "sl-facts", root);
  const canvas = make("canvas", "", root);
  const names = make("div", "sl-legend", root);
  const rows = make("div", "sl-scroll", root);
  const answer = make("div", "sl-note sl-answer", root);
  const note = make("div", "sl-note", root);
  let told = Date.now(), frame = 0, choosing = false, asked = 0;

  function standing() {
    const stopped = model.get("stopped");
    const silent = !stopped && Date.now() - told > SILENT_MS;
    root.classList.toggle("sl-ended", stopped || silent);
    stop.hidden = stopped || silent;
    const news = choosing ? "rows stand still while you choose" : "live";
    state.textContent = stopped ? "stopped" : silent ? "no news: the kernel is gone or busy" : news;
  }
  function pick(row, button) {
    button.disabled = true;
    asked += 1;
    answer.textContent = `adding ${row} … (the kernel answers when no cell runs)`;
    model.set("picked", { row, times: asked });
    model.save_changes();
  }
  function answered() {
    answer.textContent = model.get("told").text;
  }
  // Rows that move away under the pointer cannot be picked.
  function choose(on) {
    if (!(model.get("content").picks || []).length) return;
    choosing = on;
    standing();
    if (!on) changed();
  }
  function paint() {
    frame = 0;
    const content = model.get("content");
    if (!content.title) return;
    title.textContent = content.title;
    note.textContent = content.note;
    facts(figures, content.facts);
    legend(names, content.names);
    if (!choosing) table(rows, content, pick);
    chart(canvas, points(model, content.names.length), content);
    root.dataset.painted = String(Number(root.dataset.painted || 0) + 1);
    standing();
  }
  function changed() {
    told = Date.now();
    if (!frame) frame = requestAnimationFrame(paint);
  }
  dot.title = "updates by itself";
  stop.onclick = () => { model.set("stop_asked", true); model.save_changes(); };
  model.on("change:content", changed);
  model.on("change:stopped", changed);
  model.on("change:told", answered);
  rows.onmouseenter = () => choose(true);
  rows.onmouseleave = () => choose(false);
  rows.addEventListener("focusin", () => choose(true));
  rows.addEventListener("focusout", () => choose(rows.matches(":hover")));
  const clock = setInterval(standing, 3000);
  paint();
  return () => {
    clearInterval(clock);
    if (frame) cancelAnimationFrame(frame);
    model.off("change:content", changed);
    model.off("change:stopped", changed);
    model.off("change:told", answered);
  };
}

export default { render };
