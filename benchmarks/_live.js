// Follows one step of a slider through a lab's page: key event, each view, first accuracy, settled accuracy.
// Bokeh paints on canvases, which no observer sees: drawing calls are noted, by the view that they fall into.
window.labkitLive = (() => {
  "use strict";
  const LIMIT_MS = 30000;
  const painted = new WeakMap(); // view → time of the last drawing call in it
  for (const name of ["fill", "fillRect", "stroke", "clearRect", "putImageData"]) {
    const original = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...words) {
      note(this.canvas);
      return original.apply(this, words);
    };
  }

  function note(canvas) {
    let node = canvas;
    while (node.getRootNode() instanceof ShadowRoot) node = node.getRootNode().host;
    const view = node.closest?.(".lk-view");
    if (view) painted.set(view, performance.now());
  }

  const score = () => document.querySelector(".lk-score");

  // Resolves with milliseconds from the event to each mark; what is not in `marks` is not waited for.
  function follow(target, marks) {
    const control = document.querySelector(target);
    const found = {};
    let began = null;
    let emptied = false;
    return new Promise((resolve, reject) => {
      const start = () => { began ??= performance.now(); };
      control.addEventListener("keydown", start, { capture: true, once: true });
      const limit = performance.now() + LIMIT_MS;
      // An estimate may follow before a frame has shown that there is none yet.
      const emptiness = new MutationObserver(() => {
        if (began !== null && score().querySelector(".lk-value").textContent === "…") emptied = true;
      });
      emptiness.observe(score().closest(".lk-lab"), { childList: true, characterData: true, subtree: true });
      const end = (settle, value) => { emptiness.disconnect(); settle(value); };
      function look() {
        if (began !== null) {
          document.querySelectorAll(".lk-view").forEach((each, index) => {
            if ((painted.get(each) ?? 0) > began) found[`view ${index}`] ??= painted.get(each) - began;
          });
          const value = score().querySelector(".lk-value").textContent;
          if (emptied && value !== "…") found.first ??= performance.now() - began;
          if (emptied && value !== "…" && !score().classList.contains("is-refining")) found.settled ??= performance.now() - began;
        }
        if (marks.every((mark) => mark in found)) return end(resolve, found);
        if (performance.now() > limit) return end(reject, new Error(`no ${marks.filter((mark) => !(mark in found))} within ${LIMIT_MS} ms`));
        requestAnimationFrame(look);
      }
      look();
    });
  }

  let pending = null;
  return {
    arm(target, marks) { pending = follow(target, marks); pending.catch(() => {}); },
    result: () => pending,
    painted: (index) => painted.get(document.querySelectorAll(".lk-view")[index]) ?? 0,
  };
})();
