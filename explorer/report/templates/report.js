"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  for (const head of table.querySelectorAll("th[data-key]")) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      const key = head.dataset.key;
      const value = (row) => { const v = row.dataset[key]; return v !== "" && !isNaN(v) ? Number(v) : v; };
      const rows = [...body.rows].sort((a, b) => {
        const x = value(a), y = value(b);
        return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1);
      });
      for (const other of table.querySelectorAll("th[aria-sort]")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      body.append(...rows);
    });
  }
}
const frontOnly = document.getElementById("front-only");
const kinds = [...document.querySelectorAll(".kind-filter")];
const shown = document.getElementById("shown");
function filter() {
  const on = new Set(kinds.filter((box) => box.checked).map((box) => box.value));
  let count = 0;
  for (const row of document.querySelectorAll("#designs tbody tr")) {
    row.hidden = !on.has(row.dataset.kind) || (frontOnly.checked && row.dataset.front !== "1");
    if (!row.hidden) count += 1;
  }
  shown.textContent = count + (count === 1 ? " design" : " designs");
}
for (const box of [frontOnly, ...kinds]) box.addEventListener("change", filter);
filter();
document.getElementById("save-manifest").addEventListener("click", () => {
  const link = document.createElement("a");
  const text = document.getElementById("manifest").textContent;
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "manifest.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
