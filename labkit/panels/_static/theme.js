// Tells the kernel whether the page is dark, now and whenever that changes: figures are drawn by the kernel.
function render({ model, el }) {
  el.style.display = "none";
  const themes = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => document.body.dataset.jpThemeLight === "false" || (document.body.dataset.jpThemeLight === undefined && themes.matches);
  const tell = () => { model.set("dark", dark()); model.save_changes(); };
  themes.addEventListener("change", tell);
  tell();
  return () => themes.removeEventListener("change", tell);
}

export default { render };
