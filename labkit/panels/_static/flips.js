// Test images on which two networks disagree, a page at a time: one small canvas each, with what each of the two says.
function element(tag, content, attributes = {}) {
  const made = document.createElement(tag);
  made.textContent = content;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function picture(bytes, wide, high, words) {
  const canvas = element("canvas", "", { role: "img", "aria-label": words, width: wide, height: high });
  const context = canvas.getContext("2d");
  const image = context.createImageData(wide, high);
  bytes.forEach((value, n) => image.data.set([255 - value, 255 - value, 255 - value, 255], 4 * n));
  context.putImageData(image, 0, 0);
  return canvas;
}

function render({ model, el }) {
  el.classList.add("lk-flips");
  const bar = element("div", "", { class: "lk-flips-bar", role: "group", "aria-label": "Which images" });
  const grid = element("div", "", { class: "lk-flips-grid" });
  const pager = element("div", "", { class: "lk-flips-bar" });
  const [back, on] = [element("button", "Back", { type: "button", class: "lk-button" }), element("button", "More", { type: "button", class: "lk-button" })];
  const where = element("span", "", { "aria-live": "polite" });
  pager.append(back, on, where);
  el.append(bar, grid, pager);
  const ask = (kind, page) => model.send({ kind, page });
  back.addEventListener("click", () => ask(model.get("kind"), model.get("page") - 1));
  on.addEventListener("click", () => ask(model.get("kind"), model.get("page") + 1));

  function draw() {
    const [kind, page, words] = [model.get("kind"), model.get("page"), model.get("words")];
    const focused = [...bar.children].indexOf(document.activeElement);
    bar.replaceChildren(...model.get("kinds").map(([name, count], n) => {
      const made = element("button", `${name} (${count.toLocaleString("en")})`, { type: "button", class: "lk-button", "aria-pressed": String(n === kind) });
      made.disabled = count === 0;
      made.addEventListener("click", () => ask(n, 0));
      return made;
    }));
    if (focused >= 0) bar.children[focused]?.focus({ preventScroll: true });
    const [wide, high, pixels] = [model.get("wide"), model.get("high"), model.get("pixels")];
    const all = new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.byteLength);
    grid.replaceChildren(...words.map(([truth, first, second], n) => {
      const figure = document.createElement("figure");
      const bytes = all.subarray(n * wide * high, (n + 1) * wide * high);
      figure.append(picture(bytes, wide, high, `truth ${truth}; A says ${first}; B says ${second}`));
      const caption = element("figcaption", "", { "aria-hidden": "true" });
      for (const [who, said] of [["A", first], ["B", second]]) {
        caption.append(element("span", `${who} ${said}`, { class: said === truth ? "is-right" : "is-wrong" }));
      }
      if (first !== truth && second !== truth) caption.append(element("span", `truth ${truth}`));
      figure.append(caption);
      return figure;
    }));
    const pages = model.get("pages");
    where.textContent = pages ? `page ${page + 1} of ${pages}` : "";
    back.disabled = page <= 0;
    on.disabled = page + 1 >= pages;
    pager.hidden = pages < 2;
  }

  model.on("change:version", draw);
  draw();
}

export default { render };
