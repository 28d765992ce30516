// Measures inside the page: from a key or pointer event on a control to the first frame painted after a watched element changed.
window.labkitTiming = (() => {
  "use strict";
  const LIMIT_MS = 10000;
  let pending = null;

  function arm(target, watched) {
    const control = document.querySelector(target);
    const element = document.querySelector(watched);
    if (!control || !element) throw new Error(`not on the page: ${control ? watched : target}`);
    pending = new Promise((resolve, reject) => {
      let began = null;
      const start = () => { began ??= performance.now(); };
      const finish = (act) => {
        observer.disconnect();
        clearTimeout(timer);
        for (const kind of ["keydown", "pointerdown"]) control.removeEventListener(kind, start, true);
        act();
      };
      const observer = new MutationObserver(() => {
        if (began === null) return; // a change that nobody asked for
        const from = began;
        requestAnimationFrame(() => setTimeout(() => finish(() => resolve(performance.now() - from))));
      });
      const timer = setTimeout(() => finish(() => reject(new Error(`${watched} did not change within ${LIMIT_MS} ms`))), LIMIT_MS);
      for (const kind of ["keydown", "pointerdown"]) control.addEventListener(kind, start, true);
      observer.observe(element, { attributes: true, characterData: true, childList: true, subtree: true });
    });
    pending.catch(() => {}); // told by result()
  }

  function result() {
    if (!pending) throw new Error("labkitTiming.arm() comes first");
    return pending;
  }

  return { arm, result };
})();
