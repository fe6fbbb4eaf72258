// Figures of one kind, one per dataset: a chooser shows one at a time. Without this script, and on paper, all are shown.

for (const group of document.querySelectorAll(".figures")) {
  const figures = [...group.querySelectorAll("figure")];
  if (figures.length < 2) continue;
  const label = document.createElement("label"), field = document.createElement("select"), bar = document.createElement("div");
  field.append(...figures.map((figure, place) => new Option(figure.dataset.title, place)));
  label.append(`${group.dataset.title}: `, field);
  bar.className = "controls";
  bar.append(label);
  const show = () => figures.forEach((figure, place) => figure.classList.toggle("folded", place !== Number(field.value)));
  field.addEventListener("change", show);
  show();
  group.prepend(bar);
}

// A link to a folded figure, or into closed details, opens what it points at.
function reveal() {
  let target = null;
  try {
    target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  } catch {
    return;  // not an address of this page
  }
  target?.closest("details")?.setAttribute("open", "");
  const group = target?.closest(".figures"), field = group?.querySelector("select");
  if (!field || !target.matches("figure")) return;
  field.value = [...group.querySelectorAll("figure")].indexOf(target);
  field.dispatchEvent(new Event("change"));
  target.scrollIntoView();
}
addEventListener("hashchange", reveal);
reveal();

// Paper has no scroll bars and nothing to click: details are opened, and a table wider than the page is made to fit.
const PAPER = 1000;  // CSS pixels across A4 on its side, less the margins of the style sheet
let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const details of closed) details.open = true;
  for (const table of document.querySelectorAll(".scroll > table")) {
    table.style.setProperty("--fit", Math.min(1, PAPER / Math.max(1, table.scrollWidth)).toFixed(3));
  }
});
addEventListener("afterprint", () => {
  for (const details of closed) details.open = false;
});
