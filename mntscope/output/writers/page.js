"use strict";
// What every page does: a button beside each command copies it, and paper shows what is folded. Without this script the
// page says the same, and a command is selected by a click.
(() => {
  const told = document.createElement("p");
  told.className = "unheard";
  told.setAttribute("role", "status");

  function bySelection(text) {
    // Where a page may not write to the clipboard: what is selected can be copied in any browser.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "unheard";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }

  async function copy(button, text) {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      done = bySelection(text);
      button.focus();
    }
    button.textContent = done ? "Copied" : "Not copied";
    told.textContent = done ? `Copied: ${text}` : "The browser does not let the page copy.";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  for (const code of document.querySelectorAll(".commands code, td code.command, .about code.command")) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy noprint";
    button.textContent = "Copy";
    button.setAttribute("aria-label", `Copy ${code.textContent}`);
    button.addEventListener("click", () => copy(button, code.textContent));
    (code.closest("pre") ?? code).after(button);
  }
  document.body.append(told);

  // On paper there is no unfolding; what is not worth paper stays as its one line.
  addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details:not([open]):not(.quiet)")) {
      folded.open = true;
      folded.dataset.folded = "";
    }
  });
  addEventListener("afterprint", () => {
    for (const opened of document.querySelectorAll("details[data-folded]")) {
      opened.open = false;
      delete opened.dataset.folded;
    }
  });
})();
