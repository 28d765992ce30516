// Saves bytes from the kernel as a file of the browser: no address on the server, so nothing to guess and nothing to clean up.
function render({ model, el }) {
  el.style.display = "none";

  function save() {
    const version = model.get("version");
    if (version <= model.get("taken")) return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([model.get("content")], { type: model.get("kind") }));
    link.download = model.get("name");
    el.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000); // the browser may still be reading
    model.set("taken", version);
    model.save_changes();
  }

  model.on("change:version", save);
  save();
}

export default { render };
