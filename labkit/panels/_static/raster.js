// Draws a matrix of bytes on a canvas, one byte a cell: 0 is a pruned weight, 1 to 255 a value from -127 to 127.
// Colours come from the page's CSS variables, so that a change of theme needs no message to the kernel.
function colour(styles, name, fallback) {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = fallback;
  probe.fillStyle = styles.getPropertyValue(name).trim() || fallback;
  probe.fillRect(0, 0, 1, 1);
  return probe.getImageData(0, 0, 1, 1).data;
}

// Read from the body, which has the tokens: the canvas's own element may not be in the page yet when it is drawn first.
function palette() {
  const styles = getComputedStyle(document.body);
  const negative = colour(styles, "--lk-negative", "#b35806");
  const positive = colour(styles, "--lk-positive", "#2166ac");
  const middle = colour(styles, "--lk-zero", "#f2f2f2");
  const pruned = colour(styles, "--lk-pruned", "#ffffff");
  const table = new Uint8ClampedArray(256 * 4);
  for (let code = 0; code < 256; code++) {
    const end = code < 128 ? negative : positive;
    const share = code === 0 ? 0 : 0.25 + 0.75 * Math.min(1, Math.abs(code - 128) / 127);
    for (let k = 0; k < 3; k++) {
      table[4 * code + k] = code === 0 ? pruned[k] : middle[k] + share * (end[k] - middle[k]);
    }
    table[4 * code + 3] = 255;
  }
  return table;
}

function render({ model, el }) {
  el.classList.add("lk-raster");
  const canvas = document.createElement("canvas");
  canvas.setAttribute("role", "img");
  el.append(canvas);
  const context = canvas.getContext("2d");
  let table = null;

  function draw() {
    const [rows, columns] = [model.get("rows"), model.get("columns")];
    const cells = model.get("cells");
    if (!rows || !columns || cells.byteLength !== rows * columns) return;
    if (canvas.width !== columns || canvas.height !== rows) [canvas.width, canvas.height] = [columns, rows];
    table = table || palette();
    const bytes = new Uint8Array(cells.buffer, cells.byteOffset, cells.byteLength);
    const image = context.createImageData(columns, rows);
    const words = new Uint32Array(image.data.buffer);
    const colours = new Uint32Array(table.buffer);
    for (let n = 0; n < bytes.length; n++) words[n] = colours[bytes[n]];
    context.putImageData(image, 0, 0);
    canvas.setAttribute("aria-label", model.get("label"));
    canvas.dataset.version = model.get("version");
  }

  const watcher = new MutationObserver(() => { table = null; draw(); });
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  model.on("change:version", draw);
  draw();
  return () => watcher.disconnect();
}

export default { render };
