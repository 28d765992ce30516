// The history as a table: a row for each setting, sorted by a column or newest first; each row can be pinned and gone back to.
// Sorting happens here; everything else is asked of the kernel.
function text(tag, content, attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = content;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function render({ model, el }) {
  el.classList.add("lk-history");
  const box = text("div", "", { class: "lk-history-box", tabindex: "0", role: "region", "aria-label": "History of settings" });
  const table = document.createElement("table");
  const empty = text("p", "", { class: "lk-history-empty" });
  box.append(table, empty);
  el.append(box);
  let order = { column: -1, down: true }; // -1: newest first

  const ask = (what, key) => model.send({ do: what, key });

  function button(label, what, row, attributes) {
    const element = text("button", label, { class: "lk-row-button", type: "button", "data-focus": `${what} ${row.key}`, ...attributes });
    element.addEventListener("click", () => ask(what, row.key));
    return element;
  }

  function head() {
    const row = document.createElement("tr");
    model.get("columns").forEach((name, n) => {
      const cell = text("th", "", { scope: "col", class: n ? "is-figure" : "" });
      const sort = text("button", name, { type: "button", "data-focus": `sort ${n}`, title: `Sort by ${name}` });
      if (order.column === n) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      sort.addEventListener("click", () => {
        if (order.column === n && !order.down) order = { column: -1, down: true };
        else order = { column: n, down: order.column !== n };
        draw();
      });
      cell.append(sort);
      row.append(cell);
    });
    row.append(text("th", "what to do", { scope: "col" }));
    return row;
  }

  function body(row) {
    const line = document.createElement("tr");
    const isNow = row.key === model.get("chosen");
    const letter = model.get("letters")[row.key];
    if (isNow) line.setAttribute("aria-current", "true");
    row.cells.forEach((cell, n) => {
      const made = n ? text("td", cell[0], { class: "is-figure" }) : text("th", "", { scope: "row" });
      if (!n) {
        if (row.mark >= 0) made.append(text("span", "", { class: `lk-mark is-${row.mark % 6}`, "aria-hidden": "true" }));
        if (letter) made.append(text("b", letter, { class: "lk-letter" }));
        made.append(text("span", cell[0]));
      }
      line.append(made);
    });
    const name = row.cells[0][0];
    const pin = button(letter ? "Unpin" : "Pin", "pin", row, { "aria-pressed": String(Boolean(letter)), "aria-label": `Pin ${name}` });
    const back = button(isNow ? "Shown" : "Go back", "go", row, { "aria-label": isNow ? `${name} is shown` : `Go back to ${name}` });
    back.disabled = isNow || !model.get("enabled");
    const last = document.createElement("td");
    last.append(pin, back);
    line.append(last);
    return line;
  }

  function sorted() {
    const rows = [...model.get("rows")].reverse();
    if (order.column < 0) return rows;
    const value = (row) => row.cells[order.column][1];
    const sign = order.down ? -1 : 1;
    return rows.sort((a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null); // what is not measured comes last, either way
      return sign * (x < y ? -1 : x > y ? 1 : 0);
    });
  }

  function draw() {
    const focused = el.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
    const rows = sorted();
    const [top, middle] = [document.createElement("thead"), document.createElement("tbody")];
    top.append(head());
    middle.append(...rows.map(body));
    table.replaceChildren(text("caption", model.get("caption")), top, middle);
    table.hidden = rows.length === 0;
    empty.textContent = rows.length ? "" : model.get("caption");
    empty.hidden = rows.length > 0;
    if (focused !== undefined) {
      [...table.querySelectorAll("[data-focus]")].find((each) => each.dataset.focus === focused)?.focus({ preventScroll: true });
    }
  }

  model.on("change:version", draw);
  draw();
}

export default { render };
