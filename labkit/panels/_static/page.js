// What a panel and its page tell each other: theme, address, what the browser remembers, and clicks on plain HTML.
const WAIT_MS = 50;
const MOST_WAITS = 200;
const ADDRESS_MS = 150;
const LONGEST_LINK = 8000;
const LONGEST_KEPT = 100000;
const STORE = "labkit.lab.1.";

function render({ model, el }) {
  const ours = document.body.classList.contains("lk-page"); // else it is JupyterLab's page, and so is its address
  const cleanups = [];
  const tell = (what, value = "") => model.send({ do: what, value });
  const on = (target, event, listener, options) => {
    target.addEventListener(event, listener, options);
    cleanups.push(() => target.removeEventListener(event, listener, options));
  };
  const follow = (name, listener) => {
    model.on(name, listener);
    cleanups.push(() => model.off(name, listener));
  };

  // Steps that tick and the like are told to screen readers here: an element that stays, as they want it.
  el.classList.add("lk-said");
  el.setAttribute("role", "status");
  follow("change:said", () => { el.textContent = model.get("said"); });

  remember({ model, tell, follow });
  if (ours) address({ model, tell, on, follow, cleanups });
  click({ el, tell, on });
  theme({ model, cleanups });
  opened({ model, el, cleanups });
  return () => cleanups.forEach((each) => each());
}

function remember({ model, tell, follow }) {
  const key = STORE + model.get("lab");
  try {
    tell("kept", (localStorage.getItem(key) ?? "").slice(0, LONGEST_KEPT));
  } catch {
    tell("kept"); // storage is off: the lab works without
  }
  follow("change:kept", () => {
    try {
      localStorage.setItem(key, model.get("kept"));
    } catch (error) {
      console.info("labkit: what was done is not remembered, the browser keeps nothing", error);
    }
  });
}

// The address holds the lab's whole state. The kernel writes it when the state has come to rest; a change by hand goes back.
function address({ model, tell, on, follow, cleanups }) {
  let timer = 0;
  const now = () => location.hash.replace(/^#/, "");
  const write = () => {
    clearTimeout(timer);
    timer = 0;
    const link = model.get("link");
    if (now() !== link) history.replaceState(history.state, "", location.pathname + location.search + (link && `#${link}`));
  };
  const ask = () => tell("hash", now().slice(0, LONGEST_LINK));
  follow("change:written", () => { clearTimeout(timer); timer = setTimeout(write, ADDRESS_MS); });
  on(window, "hashchange", () => { if (now() !== model.get("link")) ask(); });
  on(window, "pagehide", () => { if (timer) write(); });
  on(document, "click", (event) => {
    if (!event.target.closest(".lk-copy")) return;
    if (timer) write();
    copy(location.href).then((done) => tell("copied", done ? "yes" : ""));
  });
  cleanups.push(() => clearTimeout(timer));
  ask();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { // no permission, or a page that is not served from this machine and has no https
    const area = document.createElement("textarea");
    area.value = text;
    area.style.cssText = "position:fixed;opacity:0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

function click({ el, tell, on }) {
  const here = (event) => el.closest(".lk-lab")?.contains(event.target);
  on(document, "click", (event) => {
    const button = event.target.closest("button[data-lk-do]");
    if (button && here(event)) tell(button.dataset.lkDo, button.dataset.lkValue ?? "");
  });
  // `toggle` does not bubble, but is seen on its way down.
  on(document, "toggle", (event) => {
    if (event.target.dataset.lkDo && event.target.open && here(event)) tell(event.target.dataset.lkDo);
  }, true);
}

function theme({ model, cleanups }) {
  // The kernel draws the figures and must know; Voilà's page and JupyterLab both say it here.
  const watcher = new MutationObserver(() => {
    model.set("dark", document.body.dataset.jpThemeLight === "false");
    model.save_changes();
  });
  watcher.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  cleanups.push(() => watcher.disconnect());
}

function opened({ model, el, cleanups }) {
  let waits = 0;
  const timer = setInterval(() => {
    const root = el.closest(".lk-lab") || document;
    const there = root.querySelectorAll("[data-root-id]").length >= model.get("figures");
    if (!there && ++waits < MOST_WAITS) return;
    clearInterval(timer);
    model.set("dark", document.body.dataset.jpThemeLight === "false");
    model.set("opened", model.get("opened") + 1);
    model.save_changes();
  }, WAIT_MS);
  cleanups.push(() => clearInterval(timer));
}

export default { render };
