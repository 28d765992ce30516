// Fills the home lab's cards with what the labs keep in this browser: `labkit.lab.1.NAME` → {steps, total, met, …}. What is
// kept may be damaged or made by somebody else: it is read as numbers and truths, and shown as text.
(() => {
  "use strict";
  const KEPT = "labkit.lab.1.";
  const LAST = "labkit.last.1"; // the name of the lab that was opened last
  const LONGEST = 100000; // characters
  const MOST_STEPS = 99;
  const home = [...document.querySelectorAll(".lk-home")].pop(); // a cell that is run again leaves the new one last
  if (!home) return;

  function stored(key) {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is off
    }
  }

  function progress(lab) {
    const text = stored(KEPT + lab);
    if (text === null || text.length > LONGEST) return null;
    let kept;
    try {
      kept = JSON.parse(text);
    } catch {
      return null;
    }
    if (kept === null || typeof kept !== "object" || !Array.isArray(kept.steps)) return null;
    if (!Number.isInteger(kept.total) || kept.total < 1 || kept.total > MOST_STEPS) return null;
    const ids = new Set(kept.steps.filter((id) => typeof id === "string"));
    return { done: Math.min(ids.size, kept.total), total: kept.total, met: kept.met === true };
  }

  function show() {
    const last = stored(LAST);
    let any = false;
    for (const card of home.querySelectorAll(".lk-lab-card")) {
      const found = progress(card.dataset.lab);
      const words = [];
      if (found && (found.done || found.met)) words.push(`${found.done} of ${found.total} steps`);
      if (found?.met) words.push("challenge met");
      card.querySelector(".lk-done").textContent = words.join(" · ");
      card.querySelector(".lk-track > div").style.width = found ? `${(100 * found.done) / found.total}%` : "0";
      card.classList.toggle("is-begun", words.length > 0);
      card.classList.toggle("is-complete", Boolean(found) && found.done === found.total);
      card.querySelector(".lk-continue").hidden = card.dataset.lab !== last;
      any ||= words.length > 0 || card.dataset.lab === last;
    }
    home.querySelector(".lk-forget").hidden = !any;
  }

  function forget() {
    try {
      const keys = Array.from({ length: localStorage.length }, (_, n) => localStorage.key(n));
      for (const key of keys) if (key.startsWith(KEPT) || key === LAST) localStorage.removeItem(key);
    } catch {
      return; // storage is off: there is nothing to forget
    }
    show();
    home.querySelector(".lk-lab-card a").focus(); // the button that had the focus is gone
  }

  home.addEventListener("click", (event) => {
    const card = event.target.closest("a")?.closest(".lk-lab-card");
    if (!card) return;
    try {
      localStorage.setItem(LAST, card.dataset.lab);
    } catch {
      return; // storage is off or full: nothing is marked
    }
    show();
  });
  const dialog = home.querySelector("dialog");
  home.querySelector(".lk-forget-ask").addEventListener("click", () => {
    dialog.returnValue = "";
    dialog.showModal();
  });
  dialog.addEventListener("close", () => { if (dialog.returnValue === "forget") forget(); });
  addEventListener("pageshow", show); // back from a lab, the page may come from the browser's memory
  addEventListener("storage", show); // a lab in another tab
  show();
})();
