// The 3D view: every source's points of one scene, turned together. Each canvas is painted point by point with a depth
// buffer: some ten thousand points need no graphics card, and every browser can do it.

const NOTHING = 255;  // no label
const GREY = [128, 128, 128];
// Viridis, from the least to the largest confidence.
const RAMP = [[68, 1, 84], [71, 45, 123], [59, 82, 139], [44, 114, 142], [33, 145, 140], [40, 174, 128], [94, 201, 98],
  [173, 220, 48], [253, 231, 37]];
const TURN = 0.09, ZOOM = 1.15;  // of one key press: radians, factor

const scenes = JSON.parse(document.getElementById("scenes").textContent);
const root = document.getElementById("reconstruction-3d");
const part = name => root.querySelector(`[data-part="${name}"]`);
const [place, colour] = [part("scene"), part("colour")];
let views = [], home = null, eye = null, waiting = false;

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

function decode(cloud) {
  const raw = bytes(cloud.xyz), data = new DataView(raw.buffer);
  const xyz = Float32Array.from({ length: 3 * cloud.points }, (_, i) => data.getInt16(2 * i, true) * cloud.unit);
  const columns = Object.fromEntries(["rgb", "label", "weak", "confidence"].map(name => [name, bytes(cloud[name])]));
  return { ...cloud, ...columns, xyz };
}

const quantile = (values, share) => values[Math.min(values.length - 1, Math.floor(share * values.length))];

// The camera circles around the middle of the points; far outliers do not decide where that is.
function overview({ xyz, points }) {
  const bounds = [0, 1, 2].map(axis => {
    const sorted = Float32Array.from({ length: points }, (_, i) => xyz[3 * i + axis]).sort();
    return points ? [quantile(sorted, 0.1), quantile(sorted, 0.5), quantile(sorted, 0.9)] : [-1, 0, 1];
  });
  const spread = Math.max(0.1, Math.hypot(bounds[0][2] - bounds[0][0], bounds[1][2] - bounds[1][0]) / 2);
  return { azimuth: 0, height: 0.45, distance: 2 * spread, target: bounds.map(bound => bound[1]) };
}

function mix(share) {
  const at = share * (RAMP.length - 1), low = Math.min(Math.floor(at), RAMP.length - 2);
  return RAMP[low].map((value, i) => value + (RAMP[low + 1][i] - value) * (at - low));
}

function painted(cloud, colors) {
  const result = new Uint8Array(3 * cloud.points);
  for (let i = 0; i < cloud.points; i++) {
    const label = cloud[colour.value]?.[i];
    if (colour.value === "rgb") result.set(cloud.rgb.subarray(3 * i, 3 * i + 3), 3 * i);
    else if (colour.value === "confidence") result.set(mix(label / 255), 3 * i);
    else result.set(colors[label] ?? GREY, 3 * i);
  }
  return result;
}

// Column, row and depth of a place, and how many pixels a metre is there: the camera looks at the target from its height.
function projection(width, height) {
  const [sa, ca, sh, ch] = [Math.sin(eye.azimuth), Math.cos(eye.azimuth), Math.sin(eye.height), Math.cos(eye.height)];
  const focal = 1.1 * Math.max(height, width * 0.7), [tx, ty, tz] = eye.target;
  return (px, py, pz) => {
    const x = px - tx, y = py - ty, z = pz - tz, ahead = y * ca - x * sa;
    const depth = eye.distance + ahead * ch - z * sh, scale = focal / depth;
    return [width / 2 + (x * ca + y * sa) * scale, height / 2 - (z * ch + ahead * sh) * scale, depth, scale];
  };
}

// Points as squares that shrink with distance, nearest on top.
function draw({ cloud, canvas, paint }) {
  const ratio = Math.min(2, devicePixelRatio || 1);
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d"), picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer), depths = new Float32Array(width * height).fill(Infinity);
  const project = projection(width, height), { xyz, points } = cloud;
  const labelled = colour.value === "weak" ? cloud.weak : null;
  for (let i = 0; i < points; i++) {
    const [column, row, depth, scale] = project(xyz[3 * i], xyz[3 * i + 1], xyz[3 * i + 2]);
    if (depth < 0.05 * eye.distance) continue;
    const bold = labelled && labelled[i] !== NOTHING ? 1.8 : 1;
    const side = Math.max(1.5 * ratio, Math.min(9 * ratio, 0.017 * bold * eye.reach * scale));
    const left = Math.max(0, Math.round(column - side / 2)), right = Math.min(width, Math.round(column + side / 2));
    const top = Math.max(0, Math.round(row - side / 2)), bottom = Math.min(height, Math.round(row + side / 2));
    const value = 0xff000000 | paint[3 * i + 2] << 16 | paint[3 * i + 1] << 8 | paint[3 * i];
    for (let v = top; v < bottom; v++) {
      for (let at = v * width + left; at < v * width + right; at++) {
        if (depth < depths[at]) { depths[at] = depth; pixels[at] = value; }
      }
    }
  }
  shade(pixels, depths, width, height);
  context.putImageData(picture, 0, 0);
  if (cloud.camera) pyramid(context, project, ratio, getComputedStyle(canvas).color);
}

// Where the picture was taken: a small pyramid that opens towards what it shows.
function pyramid(context, project, ratio, color) {
  const size = 0.05 * eye.reach, corners = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
  const [tip, ...base] = [[0, 0, 0], ...corners.map(([x, z]) => [0.8 * size * x, 1.4 * size, 0.5 * size * z])]
    .map(corner => project(...corner));
  if ([tip, ...base].some(([, , depth]) => depth < 0.05 * eye.distance)) return;
  Object.assign(context, { strokeStyle: color, lineWidth: 1.5 * ratio });
  context.beginPath();
  base.forEach(([column, row], i) => {
    context.moveTo(tip[0], tip[1]);
    context.lineTo(column, row);
    context.lineTo(base[(i + 1) % 4][0], base[(i + 1) % 4][1]);
  });
  context.stroke();
}

// Darker beside something nearer: outlines make a cloud readable as a shape (eye-dome lighting, Boucheny 2009).
function shade(pixels, depths, width, height) {
  for (let v = 1; v < height - 1; v++) {
    for (let at = v * width + 1, end = v * width + width - 1; at < end; at++) {
      const depth = depths[at];
      if (depth === Infinity) continue;
      const nearest = Math.min(depths[at - 1], depths[at + 1], depths[at - width], depths[at + width]);
      if (nearest > 0.98 * depth) continue;
      const light = Math.max(0.45, 1 - 3 * (1 - nearest / depth)), old = pixels[at];
      pixels[at] = 0xff000000 | (old >> 16 & 255) * light << 16 | (old >> 8 & 255) * light << 8 | (old & 255) * light;
    }
  }
}

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; views.forEach(draw); });
}

function turn(azimuth, height) {
  eye.azimuth += azimuth;
  eye.height = Math.max(-0.2, Math.min(Math.PI / 2, eye.height + height));
  redraw();
}

function zoom(factor) {
  eye.distance = Math.max(home.distance / 20, Math.min(home.distance * 5, eye.distance * factor));
  redraw();
}

const keys = {
  ArrowLeft: () => turn(-TURN, 0), ArrowRight: () => turn(TURN, 0),
  ArrowUp: () => turn(0, TURN), ArrowDown: () => turn(0, -TURN),
  "+": () => zoom(1 / ZOOM), "=": () => zoom(1 / ZOOM), "-": () => zoom(ZOOM),
  Home: () => { eye = { ...home }; redraw(); },
};

// One finger turns sideways and leaves up and down to the page; two fingers turn, tilt and zoom.
function steer(canvas) {
  const pointers = new Map();
  const middle = () => [...pointers.values()].reduce(([x, y], p) => [x + p.x / pointers.size, y + p.y / pointers.size], [0, 0]);
  const gap = () => { const [a, b] = [...pointers.values()]; return b ? Math.hypot(a.x - b.x, a.y - b.y) : 0; };
  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  canvas.addEventListener("pointermove", event => {
    if (!pointers.has(event.pointerId)) return;
    const [x, y] = middle(), before = gap();
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    const [newX, newY] = middle(), after = gap();
    turn((x - newX) * 0.008, (newY - y) * 0.008);
    if (before && after) zoom(before / after);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, event => pointers.delete(event.pointerId));
  // A page that is scrolled past must not be caught: the wheel zooms once the view has been clicked or focused.
  canvas.addEventListener("wheel", event => {
    if (document.activeElement !== canvas && !event.ctrlKey) return;
    event.preventDefault();
    zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.004));
  }, { passive: false });
  canvas.addEventListener("keydown", event => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  canvas.addEventListener("dblclick", keys.Home);
}

function pane(scene, cloud) {
  const box = document.createElement("div"), title = document.createElement("p"), canvas = document.createElement("canvas");
  const name = document.createElement("strong"), facts = document.createElement("small");
  name.textContent = cloud.title;
  facts.textContent = [`${cloud.points.toLocaleString("en")} points`, cloud.metric ? "" : "scale unknown", cloud.facts]
    .filter(Boolean).join(", ");
  title.append(name, " ", facts);
  Object.assign(canvas, { tabIndex: 0, className: "points" });
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-roledescription", "3D view");
  canvas.setAttribute("aria-label", `${scene.title}: points of ${cloud.title}. Arrow keys turn, plus and minus zoom, Home resets.`);
  steer(canvas);
  box.append(title, canvas);
  return [box, { cloud, canvas }];
}

function open() {
  const scene = scenes[place.value], panes = scene.clouds.map(cloud => pane(scene, decode(cloud)));
  part("panes").replaceChildren(...panes.map(([box]) => box));
  views = panes.map(([, view]) => view);
  home = overview(views[0].cloud);
  home.reach = home.distance / 2;
  eye = { ...home };
  const image = part("image");
  image.hidden = !scene.image;
  if (scene.image) image.src = `data:image/png;base64,${scene.image}`;
  recolour();
}

function recolour() {
  const scene = scenes[place.value], byLabel = colour.value === "label" || colour.value === "weak";
  for (const view of views) view.paint = painted(view.cloud, scene.colors);
  const used = byLabel ? new Set(views.flatMap(view => [...new Set(view.cloud[colour.value])])) : new Set();
  const entries = [...used].sort((a, b) => a - b).map(id => [scene.classes[id] ?? "no label", scene.colors[id] ?? GREY]);
  part("legend").replaceChildren(...entries.map(([name, color]) => {
    const entry = document.createElement("li"), patch = document.createElement("span");
    patch.style.background = `rgb(${color})`;
    entry.append(patch, name);
    return entry;
  }));
  part("ramp").hidden = colour.value !== "confidence";
  redraw();
}

place.append(...scenes.map((scene, i) => new Option(scene.title, i)));
place.addEventListener("change", open);
colour.addEventListener("change", recolour);
part("reset").addEventListener("click", keys.Home);
part("ramp-bar").style.background = `linear-gradient(to right, ${RAMP.map(color => `rgb(${color})`)})`;
root.hidden = false;
open();
new ResizeObserver(redraw).observe(part("panes"));
