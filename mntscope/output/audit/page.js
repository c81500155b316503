"use strict";
(() => {
  const form = document.getElementById("filter");
  // A link to a rule opens it.
  const open = () => {
    const there = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (there instanceof HTMLDetailsElement) there.open = true;
  };
  addEventListener("hashchange", open);
  open();
  if (!form) return;

  const findings = [...document.querySelectorAll(".finding")].map((element) => ({
    element,
    text: element.textContent.toLowerCase(),
  }));
  const status = form.querySelector("output");
  const show = () => {
    const wanted = new FormData(form);
    const words = wanted.get("text").toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set(wanted.getAll("severity"));
    const rule = wanted.get("rule");
    let shown = 0;
    for (const { element, text } of findings) {
      const fits = severities.has(element.dataset.severity)
        && (!rule || element.dataset.rule === rule)
        && words.every((word) => text.includes(word));
      element.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    status.textContent = `${shown} of ${findings.length} shown`;
  };
  form.addEventListener("input", show);
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  show();
})();
