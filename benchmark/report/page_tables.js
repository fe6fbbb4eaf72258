// Tables: sort by a column, and hide the rows and columns that nobody asked for.
// Needs nothing of a table but <thead> and <th>; a cell's data-value is its plain number, else its text begins with one.

const vocabulary = JSON.parse(document.getElementById("vocabulary").textContent);

function number(cell) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const found = cell.textContent.trim().replace("−", "-").match(/^[-+]?\d[\d,]*\.?\d*(e[-+]?\d+)?/i);
  return found ? Number(found[0].replaceAll(",", "")) : NaN;
}

// For every column the texts of its heads from top to bottom, and the head that is clicked.
function columnsOf(table) {
  const columns = [];
  for (const row of table.tHead.rows) {
    let place = 0;
    for (const cell of row.cells) {
      for (const end = place + cell.colSpan; place < end; place++) {
        columns[place] ??= { texts: [], cells: [] };
        columns[place].texts.push(cell.textContent);
        columns[place].cells.push(cell);
      }
    }
  }
  return columns;
}

function rectangular(table) {
  const bodies = [...table.tBodies].flatMap(body => [...body.rows]);
  const heads = [...table.tHead.rows].map(row => [...row.cells]);
  return bodies.every(row => [...row.cells].every(cell => cell.colSpan === 1 && cell.rowSpan === 1))
    && heads.every(row => row.every(cell => cell.rowSpan === 1))
    && heads[heads.length - 1].every(cell => cell.colSpan === 1);
}

// Cells without a value (n/a, not run) stay last, whichever way the others are sorted.
function compare(a, b, direction) {
  const [x, y] = [number(a), number(b)];
  if (!isNaN(x) || !isNaN(y)) return isNaN(x) - isNaN(y) || direction * (x - y);
  return direction * a.textContent.localeCompare(b.textContent, "en", { numeric: true });
}

function sortable(table) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  // Lines that a rule sets apart (the ceiling) stay where they are: each body is sorted by itself.
  const original = new Map([...table.tBodies].map(body => [body, [...body.rows]]));
  heads.forEach((head, place) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numeric = [...table.tBodies].some(body => [...body.rows].some(row => !isNaN(number(row.cells[place]))));
      const first = numeric ? "descending" : "ascending", second = numeric ? "ascending" : "descending";
      const now = head.getAttribute("aria-sort");
      const next = now === first ? second : now === second ? null : first;  // the third click: as it was
      for (const other of heads) other.removeAttribute("aria-sort");
      if (next) head.setAttribute("aria-sort", next);
      const direction = next === "ascending" ? 1 : -1;
      for (const [body, rows] of original) {
        body.append(...(next ? [...rows].sort((a, b) => compare(a.cells[place], b.cells[place], direction)) : rows));
      }
    });
  });
}

// "Waymo Open, scribbles" speaks of the dataset "Waymo Open" and of the labels "scribbles".
function mentioned(texts, words) {
  const parts = texts.flatMap(text => text.split(/[,·:]/)).map(part => part.trim());
  return words.filter(word => parts.includes(word));
}

function select(title, words) {
  const label = document.createElement("label"), field = document.createElement("select");
  field.append(new Option("all", ""), ...words.map(word => new Option(word, word)));
  label.append(`${title} `, field);
  return [label, field];
}

function filterable(table) {
  const columns = columnsOf(table);
  const rows = [...table.tBodies].flatMap(body => [...body.rows]);
  const about = new Map(rows.map(row => [row, [...row.cells].filter(cell => cell.tagName === "TH")
    .flatMap(cell => [cell.textContent, ...cell.textContent.split("/")])]));
  const bar = document.createElement("form");
  bar.className = "controls";
  bar.setAttribute("role", "search");
  bar.setAttribute("aria-label", `Filter: ${table.closest("[aria-label]")?.getAttribute("aria-label") ?? "table"}`);
  const choices = [];
  for (const [title, words] of Object.entries(vocabulary)) {
    const known = words.filter(word => columns.some(column => mentioned(column.texts, [word]).length)
      || rows.some(row => mentioned(about.get(row), [word]).length));
    if (known.length < 2) continue;
    const [label, field] = select(title, known);
    choices.push({ field, known });
    bar.append(label);
  }
  const label = document.createElement("label"), text = document.createElement("input");
  text.type = "search";
  text.placeholder = "words in a row";
  label.append("Text ", text);
  const found = document.createElement("output"), reset = document.createElement("button");
  reset.type = "reset";
  reset.textContent = "Show all";
  bar.append(label, reset, found);
  bar.addEventListener("submit", event => event.preventDefault());
  bar.addEventListener("reset", () => setTimeout(apply));  // the fields are empty only after this event

  // What says nothing about a dataset or a kind of labels belongs to all of them.
  const passes = texts => choices.every(({ field, known }) => {
    const words = mentioned(texts, known);
    return !field.value || !words.length || words.includes(field.value);
  });
  function apply() {
    const asked = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = columns.map(column => passes(column.texts));
    let visible = 0;
    for (const row of rows) {
      const words = row.textContent.toLowerCase();
      row.hidden = !passes(about.get(row)) || !asked.every(word => words.includes(word));
      visible += !row.hidden;
      [...row.cells].forEach((cell, place) => { cell.hidden = !shown[place]; });
    }
    for (const head of new Set(columns.flatMap(column => column.cells))) {
      const width = columns.filter((column, place) => shown[place] && column.cells.includes(head)).length;
      head.hidden = !width;
      head.colSpan = Math.max(1, width);
    }
    const whole = visible === rows.length && shown.every(Boolean);
    const count = shown.filter(Boolean).length;
    found.textContent = whole ? "" : `${visible} of ${rows.length} rows, ${count} of ${columns.length} columns`;
    reset.hidden = whole && !text.value;
  }
  for (const kind of ["input", "change"]) bar.addEventListener(kind, apply);  // not every browser sends both of a choice
  apply();
  table.closest(".scroll").before(bar);
}

for (const table of document.querySelectorAll("figure.table table, table.runs")) {
  if (!table.tHead || !rectangular(table)) continue;
  const long = [...table.tBodies].reduce((sum, body) => sum + body.rows.length, 0) >= 8;
  if (table.closest("#results") || long) filterable(table);
  sortable(table);
}

// Commands: a button that copies. Where a page from disk may not use the clipboard, the command is selected instead.
for (const code of document.querySelectorAll("code.command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy: ${code.textContent}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  code.before(button);
}
