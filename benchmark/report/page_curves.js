// Training curves: one loss term of one dataset at a time, every method a line, and the values where the cursor stands.

const SPACE = "http://www.w3.org/2000/svg";
const WIDTH = 720, HEIGHT = 340, LEFT = 64, RIGHT = 28, TOP = 12, BOTTOM = 40;

const { progress, curves } = JSON.parse(document.getElementById("curves").textContent);
const root = document.getElementById("training-chart");
const part = name => root.querySelector(`[data-part="${name}"]`);
const [which, term, logarithmic, chart, legend] = ["which", "term", "logarithmic", "chart", "legend"].map(part);
const hidden = new Set();  // methods that are switched off
let cursor = progress.length - 1, axis = null;

function add(parent, name, attributes, text) {
  const element = document.createElementNS(SPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

const column = place => LEFT + progress[place] * (WIDTH - LEFT - RIGHT);
const ink = color => color.toLowerCase() === "#000000" ? "currentColor" : color;  // black is not seen at night
const lines = () => curves[which.value].terms.find(one => one.name === term.value).lines;
const visible = () => lines().filter(line => !hidden.has(line.method));

function scale() {
  const shown = visible().flatMap(line => [...line.mean, ...(line.high ?? []), ...(line.low ?? [])])
    .filter(value => value !== null && (!logarithmic.checked || value > 0));
  let [low, high] = shown.length ? [shown.reduce((a, b) => Math.min(a, b)), shown.reduce((a, b) => Math.max(a, b))] : [0, 1];
  if (!logarithmic.checked) low = Math.min(0, low);
  if (low === high) high = low + (Math.abs(low) || 1);
  const change = logarithmic.checked ? Math.log10 : value => value;
  const row = value => HEIGHT - BOTTOM - (change(value) - change(low)) / (change(high) - change(low)) * (HEIGHT - TOP - BOTTOM);
  return { low, high, row, ticks: ticks(low, high) };
}

function ticks(low, high) {
  const found = [];
  if (logarithmic.checked) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const digit of [1, 2, 5]) found.push(Number(`${digit}e${power}`));
    }
  } else {
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map(digit => digit * power).find(size => size >= rough);
    for (let count = Math.ceil(low / step); count * step <= high; count++) found.push(Number((count * step).toPrecision(6)));
  }
  return found.filter(value => value >= low && value <= high);
}

// A gap in the values is a gap in the line.
function path(values) {
  let text = "", pen = false;
  values.forEach((value, place) => {
    const known = value !== null && (!logarithmic.checked || value > 0);
    if (known) text += `${pen ? "L" : "M"}${column(place).toFixed(1)} ${axis.row(value).toFixed(1)}`;
    pen = known;
  });
  return text;
}

function draw() {
  axis = scale();
  chart.replaceChildren();
  const title = `${term.value} against training progress, ${curves[which.value].title}`;
  chart.setAttribute("aria-label", title);
  for (const value of axis.ticks) {
    const y = axis.row(value);
    add(chart, "line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, class: "grid" });
    add(chart, "text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, String(value));
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const x = LEFT + share * (WIDTH - LEFT - RIGHT);
    add(chart, "text", { x, y: HEIGHT - BOTTOM + 18, "text-anchor": "middle" }, `${share * 100} %`);
  }
  add(chart, "text", { x: (WIDTH + LEFT) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "training progress");
  for (const line of visible()) {
    if (line.low) add(chart, "path", { d: band(line.low, line.high), fill: ink(line.color), class: "band" });
    add(chart, "path", { d: path(line.mean), stroke: ink(line.color), class: "line" });
  }
  add(chart, "line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor" });
  entries();
  move(cursor);
}

// Between the lowest and the highest seed, where both are known.
function band(low, high) {
  const known = low.map((value, place) => place).filter(place => low[place] !== null && high[place] !== null
    && (!logarithmic.checked || low[place] > 0));
  const edge = (values, places) => places.map(place => `${column(place).toFixed(1)} ${axis.row(values[place]).toFixed(1)}`);
  return known.length ? `M${[...edge(high, known), ...edge(low, [...known].reverse())].join("L")}Z` : "";
}

function entries() {
  legend.replaceChildren(...lines().map(line => {
    const label = document.createElement("label"), box = document.createElement("input");
    const patch = document.createElement("span"), value = document.createElement("output"), name = document.createElement("span");
    box.type = "checkbox";
    box.checked = !hidden.has(line.method);
    box.addEventListener("change", () => {
      hidden[box.checked ? "delete" : "add"](line.method);
      draw();
      [...legend.querySelectorAll("input")][lines().indexOf(line)].focus();  // the legend was written anew
    });
    patch.style.background = ink(line.color);
    patch.className = "patch";
    name.textContent = line.method;
    label.append(box, patch, name, value);
    return label;
  }));
}

function move(place) {
  cursor = Math.max(0, Math.min(progress.length - 1, place));
  const line = chart.querySelector(".cursor");
  for (const end of ["x1", "x2"]) line.setAttribute(end, column(cursor));
  const share = `${Math.round(progress[cursor] * 100)} %`;
  part("at").textContent = `Values at ${share} of training:`;
  lines().forEach((one, index) => {
    legend.querySelectorAll("output")[index].textContent = one.mean[cursor] === null ? "–" : one.mean[cursor].toPrecision(3);
  });
}

function chooseTerms() {
  const before = term.value, names = curves[which.value].terms.map(one => one.name);
  term.replaceChildren(...names.map(name => new Option(name, name)));
  term.value = names.includes(before) ? before : names[0];
  draw();
}

function nearest(event) {
  const box = chart.getBoundingClientRect(), x = (event.clientX - box.left) / box.width * WIDTH;
  return Math.round((x - LEFT) / (WIDTH - LEFT - RIGHT) * (progress.length - 1));
}

which.append(...curves.map((one, place) => new Option(one.title, place)));
which.addEventListener("change", chooseTerms);
term.addEventListener("change", draw);
logarithmic.addEventListener("change", draw);
chart.addEventListener("pointermove", event => move(nearest(event)));
chart.addEventListener("pointerdown", event => move(nearest(event)));
chart.addEventListener("keydown", event => {
  const to = { ArrowLeft: cursor - 1, ArrowRight: cursor + 1, Home: 0, End: progress.length - 1 }[event.key];
  if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  move(to);
});
root.hidden = false;
chooseTerms();
