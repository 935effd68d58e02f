"use strict";
// Sorts a table by the heading that is clicked, and hides the rows that a filter does not name.

function value(row, column) {
  const cell = row.cells[column];
  if (cell.classList.contains("number")) {
    return "key" in cell.dataset ? Number(cell.dataset.key) : NaN;
  }
  return cell.textContent.trim().toLowerCase();
}

function compare(a, b) {
  if (typeof a === "string") return a.localeCompare(b);
  return a - b;
}

function sort(table, heading) {
  const up = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const column = heading.cellIndex;
  const known = (row) => !Number.isNaN(value(row, column));
  const rows = [...table.tBodies[0].rows];
  const sorted = rows.filter(known)
    .sort((a, b) => (up ? 1 : -1) * compare(value(a, column), value(b, column)));
  // What was not measured stays at the end, whichever way the rest is sorted.
  table.tBodies[0].append(...sorted, ...rows.filter((row) => !known(row)));
}

for (const heading of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.type = "button";
  button.append(...heading.childNodes);
  heading.append(button);
  button.addEventListener("click", () => sort(heading.closest("table"), heading));
}

addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

for (const form of document.querySelectorAll("form.filter")) {
  const rows = [...form.nextElementSibling.querySelectorAll("tbody tr")];
  const [search, select, output] = ["input", "select", "output"].map((tag) => form.querySelector(tag));
  const update = () => {
    const wanted = search.value.trim().toLowerCase();
    for (const row of rows) {
      const named = row.cells[0].textContent.toLowerCase().includes(wanted);
      row.hidden = !(named && (!select.value || row.dataset.family === select.value));
    }
    output.value = `${rows.filter((row) => !row.hidden).length} of ${rows.length} methods`;
  };
  form.hidden = false;
  form.addEventListener("input", update);
  form.addEventListener("submit", (event) => event.preventDefault());
  update();
}
