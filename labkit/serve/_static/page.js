// The page around a lab: theme before the first paint, the loading state, and a banner when the kernel has stopped.
window.labkitPage = (() => {
  "use strict";
  const THEME_KEY = "labkit.theme.1"; // "light", "dark", or absent: as the system
  const LAST_KEY = "labkit.last.1"; // name of the lab that was opened last, which the home lab marks
  const PULSE_MS = 5000;
  const SILENCE_MS = 120000; // without any sign of progress while the cells run
  const REST_MS = 60; // without a change to the page
  const BUILD_LIMIT_MS = 60000;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let progressAt = performance.now();
  let beginFrontEnd = () => {};
  let hasKernel = false; // the page has its name long before
  let kernelLost = false;

  function chosenTheme() {
    try {
      const kept = localStorage.getItem(THEME_KEY);
      return kept === "light" || kept === "dark" ? kept : null;
    } catch {
      return null; // storage is off
    }
  }

  function theme() {
    return chosenTheme() ?? (dark.matches ? "dark" : "light");
  }

  // Widgets, JupyterLab's own styles and our canvases read the theme from the body.
  function paint() {
    const now = theme();
    document.documentElement.dataset.lkTheme = now;
    if (!document.body) return;
    document.body.dataset.jpThemeLight = String(now === "light");
    document.body.dataset.jpThemeName = now === "light" ? "JupyterLab Light" : "JupyterLab Dark";
    document.body.classList.toggle("theme-dark", now === "dark");
    document.body.classList.toggle("theme-light", now === "light");
    const button = document.querySelector(".lk-theme");
    if (button) button.textContent = now === "light" ? "Dark" : "Light";
  }

  function offerThemes() {
    const button = document.querySelector(".lk-theme");
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = theme() === "light" ? "dark" : "light";
      try {
        if (next === (dark.matches ? "dark" : "light")) localStorage.removeItem(THEME_KEY);
        else localStorage.setItem(THEME_KEY, next);
      } catch {
        return;
      }
      paint();
    });
    paint();
  }

  function say(text) {
    const line = document.querySelector(".lk-loading-text");
    if (line && line.textContent !== text) line.textContent = text;
  }

  // The front end's modules keep the browser busy for a third of a second: once the words are painted, while the kernel starts.
  function loadFrontEnd(...scripts) {
    beginFrontEnd = () => {
      beginFrontEnd = () => {};
      for (const src of scripts) document.head.append(Object.assign(document.createElement("script"), { async: true, src }));
    };
    requestAnimationFrame(() => setTimeout(() => beginFrontEnd()));
  }

  function kernelStarted() {
    hasKernel = true;
  }

  function progress(index, count) {
    progressAt = performance.now();
    if (count) say("Preparing the network and the data …");
  }

  // Called by the server every ten seconds while a cell runs.
  function stillWorking() {
    if (performance.now() - progressAt > SILENCE_MS) fail();
    else say("Still working: the first visit after a start takes longest …");
  }

  function fail() {
    const box = document.getElementById("lk-loading");
    if (!box || box.classList.contains("is-failed")) return;
    box.classList.add("is-failed");
    box.replaceChildren(sentence("The lab did not start. ", "Load again"));
  }

  // The cells have run; the front end now builds the widgets. The skeleton goes when they are there and have come to rest.
  function cellsDone() {
    if (document.body.classList.contains("is-built")) return;
    document.body.classList.add("is-built");
    beginFrontEnd(); // in the background nothing is painted; after the window's load event it would be too late
    say("Building the page …");
    const waiting = document.querySelector('#rendered_cells script[type^="application/vnd.voila"]');
    if (!waiting) return settle();
    let rest = null;
    const seen = new MutationObserver(() => {
      adopt();
      label();
      if (!document.querySelector("#rendered_cells .jupyter-widgets, #rendered_cells .jp-OutputArea-output")) return;
      clearTimeout(rest);
      rest = setTimeout(settle, REST_MS);
    });
    seen.observe(document.body, { childList: true, subtree: true });
    setTimeout(() => { if (!document.body.classList.contains("is-ready")) fail(); }, BUILD_LIMIT_MS);
  }

  function settle() {
    const box = document.getElementById("lk-loading");
    if (box && !box.classList.contains("is-failed")) box.remove();
    document.body.classList.add("is-ready");
    if (document.body.dataset.voila) remember(location.pathname.split("/").pop());
  }

  function remember(lab) {
    try {
      localStorage.setItem(LAST_KEY, lab);
    } catch {
      return; // storage is off or full: the home lab marks nothing
    }
  }

  // The front end puts its shell at the end of the body; it belongs into the page's main landmark.
  function adopt() {
    const shell = document.getElementById("main");
    const place = document.getElementById("lk-main");
    if (shell && shell.parentElement !== place) place.append(shell);
  }

  // The handle of a slider is what a keyboard reaches and a screen reader names: give it the slider's label.
  function label() {
    for (const handle of document.querySelectorAll(".widget-slider [role=slider]:not([aria-label])")) {
      const text = handle.closest(".widget-slider").querySelector(".widget-label")?.textContent;
      if (text) handle.setAttribute("aria-label", text);
    }
  }

  function sentence(text, action) {
    const line = document.createElement("p");
    line.textContent = text;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "lk-button";
    button.textContent = action;
    button.addEventListener("click", () => location.reload());
    line.append(button);
    return line;
  }

  function banner(text) {
    const box = document.querySelector(".lk-banner");
    if (!box) return;
    const shown = box.firstChild ? box.firstChild.firstChild.data : "";
    if (shown === text) return;
    box.replaceChildren(...(text ? [sentence(text, "Reload")] : []));
    box.hidden = !text;
    document.body.classList.toggle("is-stopped", Boolean(text));
  }

  function kernelId() {
    const config = document.getElementById("jupyter-config-data");
    return config ? JSON.parse(config.textContent).kernelId : null;
  }

  async function pulse() {
    const id = hasKernel ? kernelId() : null;
    if (!id || kernelLost || document.hidden) return;
    const base = document.body.dataset.baseUrl.replace(/voila\/$/, "");
    try {
      const answer = await fetch(`${base}pulse/${id}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      kernelLost = !(await answer.json()).alive;
      banner(kernelLost ? "The lab’s kernel stopped: what you see no longer answers. " : "");
      if (kernelLost) fail();
    } catch {
      banner("The server does not answer: it was stopped, or the connection is down. ");
    }
  }

  paint();
  dark.addEventListener("change", paint);
  document.addEventListener("DOMContentLoaded", offerThemes);
  document.addEventListener("visibilitychange", pulse);
  window.addEventListener("pageshow", pulse);
  setInterval(pulse, PULSE_MS);
  return { paint, loadFrontEnd, kernelStarted, progress, stillWorking, cellsDone, fail };
})();
