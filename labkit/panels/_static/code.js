// A program as text, with a button that copies it.
const SHOWN_MS = 2000;

async function copy(text, area) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // pages that did not come over https or from this machine have no clipboard: select, and copy as a person would
    const range = document.createRange();
    range.selectNodeContents(area);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand("copy");
  }
}

function render({ model, el }) {
  el.classList.add("lk-code");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "lk-button";
  button.setAttribute("aria-live", "polite");
  const area = document.createElement("pre");
  area.tabIndex = 0;
  area.setAttribute("aria-label", "Python program of what is on show");
  const code = document.createElement("code");
  area.append(code);
  el.append(button, area);
  let timer = 0;

  function say(text) {
    button.textContent = text;
    clearTimeout(timer);
    if (text !== "Copy") timer = setTimeout(() => say("Copy"), SHOWN_MS);
  }

  button.addEventListener("click", async () => say((await copy(model.get("text"), code)) ? "Copied" : "Press Ctrl+C to copy"));
  const draw = () => { code.textContent = model.get("text"); };
  model.on("change:text", draw);
  draw();
  say("Copy");
  return () => clearTimeout(timer);
}

export default { render };
