// Before and after: two pictures of one frame over each other, and a divider between them.

const NOTHING = 255;  // no label
const DARK = [64, 64, 64];  // where nobody annotated
const WRONG = [213, 94, 0];

const frames = JSON.parse(document.getElementById("frames").textContent);
const root = document.getElementById("comparison");
const part = name => root.querySelector(`[data-part="${name}"]`);
const fields = Object.fromEntries(["dataset", "frame", "left", "right"].map(name => [name, part(name)]));
const stage = part("stage"), divider = part("divider"), readout = part("readout");
let asked = 0;
let current = null;  // frame, its dataset, the label maps, and the two pictures chosen

// Pairs (id, repetitions - 1), row by row.
function expand(text, length) {
  const pairs = Uint8Array.from(atob(text), letter => letter.charCodeAt(0)), ids = new Uint8Array(length);
  for (let i = 0, place = 0; i < pairs.length; i += 2) ids.fill(pairs[i], place, place += pairs[i + 1] + 1);
  return ids;
}

async function open() {
  const dataset = frames[fields.dataset.value], frame = dataset.frames[fields.frame.value];
  const size = frame.width * frame.height, image = new Image(), mine = ++asked;
  image.src = `data:image/png;base64,${frame.image}`;
  await image.decode();
  if (mine !== asked) return;  // another frame was chosen meanwhile
  const [weak, truth] = [expand(frame.weak, size), expand(frame.truth, size)];
  const predictions = frame.predictions.map(([title, ids]) => [title, expand(ids, size)]);
  const pictures = [
    { group: "Given", title: "Image", paint: context => context.drawImage(image, 0, 0) },
    { group: "Given", title: `Weak labels (${dataset.labels})`, ids: weak },
    { group: "Given", title: "Ground truth", ids: truth },
    ...predictions.map(([title, ids]) => ({ group: "Predictions", title, ids })),
    ...predictions.map(([title, ids]) => ({ group: "Errors", title: `Errors of ${title}`, ids, errors: true })),
  ];
  pictures[1].paint = context => overlay(context, image, grown(weak, frame, dataset.labels), id => dataset.colors[id]);
  for (const picture of pictures) {
    if (picture.errors) picture.paint = context => errors(context, image, picture.ids, truth);
    else if (!picture.paint) picture.paint = context => layer(context, picture.ids, id => dataset.colors[id] ?? DARK);
  }
  current = { dataset, frame, pictures };
  for (const side of ["left", "right"]) refill(fields[side], pictures);
  show();
}

// A layer of colours; where there is no colour the picture below stays.
function layer(context, ids, color) {
  const { width, height } = context.canvas, paint = document.createElement("canvas");
  [paint.width, paint.height] = [width, height];
  const pixels = new ImageData(width, height);
  ids.forEach((id, place) => {
    const found = color(id, place);
    if (found) pixels.data.set([...found, 255], 4 * place);
  });
  paint.getContext("2d").putImageData(pixels, 0, 0);
  context.drawImage(paint, 0, 0);
}

function overlay(context, image, ids, color) {
  context.fillStyle = "#9a9a9a";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.globalAlpha = 0.4;
  context.drawImage(image, 0, 0);
  context.globalAlpha = 1;
  layer(context, ids, color);
}

function errors(context, image, ids, truth) {
  overlay(context, image, ids, (id, place) =>
    truth[place] === NOTHING ? DARK : id === truth[place] ? null : WRONG);
}

// Points and thin strokes are grown to be seen, as in the figure.
function grown(ids, { width, height }, kind) {
  const reach = kind === "coarse" ? 0 : Math.ceil(height / (kind === "points" ? 60 : 250)), result = ids.slice();
  ids.forEach((id, place) => {
    if (id === NOTHING) return;
    const row = Math.floor(place / width), column = place % width;
    for (let y = Math.max(0, row - reach); y <= Math.min(height - 1, row + reach); y++) {
      for (let x = Math.max(0, column - reach); x <= Math.min(width - 1, column + reach); x++) {
        if (ids[y * width + x] === NOTHING) result[y * width + x] = Math.min(id, result[y * width + x]);
      }
    }
  });
  return result;
}

// The choice survives a change of the frame where the new frame has such a picture.
function refill(field, pictures) {
  const before = field.value || field.dataset.first;
  const groups = Map.groupBy ? Map.groupBy(pictures, picture => picture.group) : grouped(pictures);
  field.replaceChildren(...[...groups].map(([name, members]) => {
    const group = document.createElement("optgroup");
    group.label = name;
    group.append(...members.map(picture => new Option(picture.title, picture.title)));
    return group;
  }));
  const titles = pictures.map(picture => picture.title);
  const wanted = before === "first prediction" ? titles[3] : before;
  field.value = titles.includes(wanted) ? wanted : titles[field === fields.left ? 3 : 2];
}

function grouped(pictures) {
  const groups = new Map();
  for (const picture of pictures) groups.set(picture.group, [...(groups.get(picture.group) ?? []), picture]);
  return groups;
}

function show() {
  const { frame, dataset, pictures } = current;
  const chosen = {};
  for (const side of ["left", "right"]) {
    const picture = pictures.find(one => one.title === fields[side].value), canvas = part(`${side}-picture`);
    [canvas.width, canvas.height] = [frame.width, frame.height];  // also clears it
    picture.paint(canvas.getContext("2d"));
    canvas.setAttribute("aria-label", `${picture.title}, ${dataset.title}, frame ${frame.title}`);
    part(`${side}-title`).textContent = picture.title;
    chosen[side] = picture;
  }
  stage.style.aspectRatio = `${frame.width} / ${frame.height}`;
  stage.style.maxWidth = `min(100%, ${Math.round(65 * frame.width / frame.height)}vh)`;  // the whole picture is in view
  current.chosen = chosen;
  legend();
  divide();
  point(null);
}

function legend() {
  const { dataset, pictures, chosen } = current, used = new Set();
  for (const { ids, errors: wrong } of Object.values(chosen)) if (ids && !wrong) ids.forEach(id => used.add(id));
  const entries = [...used].sort((a, b) => a - b)
    .filter(id => id < dataset.classes.length).map(id => [dataset.classes[id], dataset.colors[id]]);
  const truthShown = Object.values(chosen).some(picture => picture.ids === pictures[2].ids || picture.errors);
  if (truthShown && pictures[2].ids.includes(NOTHING)) entries.push(["not annotated", DARK]);
  if (Object.values(chosen).some(picture => picture.errors)) entries.push(["wrong", WRONG]);
  part("legend").replaceChildren(...entries.map(([name, color]) => {
    const entry = document.createElement("li"), patch = document.createElement("span");
    patch.style.background = `rgb(${color})`;
    entry.append(patch, name);
    return entry;
  }));
}

function divide() {
  stage.style.setProperty("--at", `${divider.value}%`);
  divider.setAttribute("aria-valuetext",
    `${Math.round(divider.value)} % ${fields.left.value}, the rest ${fields.right.value}`);
}

// What stands under the pointer, in words.
function point(event) {
  const hint = "Drag the divider, or focus it and use the arrow keys. Point at a place to read its classes.";
  if (!event || !current) { readout.textContent = hint; return; }
  const { frame, dataset, chosen, pictures } = current, box = stage.getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left) / box.width * frame.width);
  const row = Math.floor((event.clientY - box.top) / box.height * frame.height);
  if (column < 0 || row < 0 || column >= frame.width || row >= frame.height) return;
  const place = row * frame.width + column, name = ids => dataset.classes[ids[place]] ?? "no label";
  const words = [["Truth", pictures[2].ids]];
  for (const picture of new Set([chosen.left, chosen.right])) {
    if (picture.ids && picture.ids !== pictures[2].ids) words.push([picture.title.replace(/^Errors of /, ""), picture.ids]);
  }
  readout.textContent = words.map(([title, ids]) => `${title}: ${name(ids)}`).join(" · ");
}

function drag(event) {
  const box = stage.getBoundingClientRect();
  divider.value = 100 * (event.clientX - box.left) / box.width;
  divide();
}

// The range input serves the keyboard and assistive technology; the pointer works on the whole picture.
let dragging = false;
stage.addEventListener("pointerdown", event => {
  if (event.button !== 0) return;
  dragging = true;
  stage.setPointerCapture(event.pointerId);
  divider.focus({ preventScroll: true });
  event.preventDefault();
  drag(event);
});
stage.addEventListener("pointermove", event => { if (dragging) drag(event); point(event); });
for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, () => { dragging = false; });
stage.addEventListener("pointerleave", () => point(null));
divider.addEventListener("input", divide);

function chooseDataset() {
  const dataset = frames[fields.dataset.value];
  fields.frame.replaceChildren(...dataset.frames.map((frame, place) => new Option(frame.title, place)));
  return open();
}
fields.dataset.append(...frames.map((dataset, place) => new Option(dataset.title, place)));
fields.dataset.addEventListener("change", chooseDataset);
fields.frame.addEventListener("change", open);
for (const side of ["left", "right"]) fields[side].addEventListener("change", show);
root.hidden = false;
chooseDataset();
