// Tells the kernel, which draws the figures, whether the page is dark, and when the figures are there: what it drew
// before they were is lost on the way, and it sends them again.
const WAIT_MS = 50;
const MOST_WAITS = 200;

function render({ model, el }) {
  el.style.display = "none";
  const dark = () => document.body.dataset.jpThemeLight === "false"; // Voilà's page and JupyterLab both say it here
  const tell = () => { model.set("dark", dark()); model.save_changes(); };
  const watcher = new MutationObserver(tell);
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });

  let waits = 0;
  const timer = setInterval(() => {
    const root = el.closest(".lk-lab") || document;
    const there = root.querySelectorAll("[data-root-id]").length >= model.get("figures");
    if (!there && ++waits < MOST_WAITS) return;
    clearInterval(timer);
    model.set("dark", dark());
    model.set("opened", model.get("opened") + 1);
    model.save_changes();
  }, WAIT_MS);

  return () => {
    clearInterval(timer);
    watcher.disconnect();
  };
}

export default { render };
