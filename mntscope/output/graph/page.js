"use strict";
// Search, zoom and pan. Opening and closing is the browser's (details), and so is the drawing: without this script the
// page says the same.

const view = document.querySelector(".view");
const forest = document.querySelector(".forest");
const search = document.querySelector("#search");
const found = document.querySelector("#found");

document.querySelector(".controls").hidden = false;

// ---- zoom

const LEAST = 0.1, MOST = 3;
let scale = 1;

function zoom(wanted, x = view.clientWidth / 2, y = 0) {
  const before = scale;
  scale = Math.min(MOST, Math.max(LEAST, wanted));
  const left = (view.scrollLeft + x) * scale / before - x;
  const top = (view.scrollTop + y) * scale / before - y;
  forest.style.zoom = scale;
  view.scrollTo(left, top);
  document.querySelector("#whole").textContent = `${Math.round(scale * 100)} %`;
}

function fit() {
  zoom(1);
  const room = parseFloat(getComputedStyle(view).paddingLeft) * 2;
  const wide = (view.clientWidth - room) / (forest.scrollWidth || 1);
  const high = (view.clientHeight - room) / (forest.scrollHeight || 1);
  // As wide as there is room for; as high too, unless that would make it too small to read.
  zoom(Math.min(1, wide, Math.max(high, 0.5)));
  view.scrollTo(0, 0);
}

document.querySelector("#closer").addEventListener("click", () => zoom(scale * 1.25));
document.querySelector("#farther").addEventListener("click", () => zoom(scale / 1.25));
document.querySelector("#whole").addEventListener("click", () => zoom(1));
document.querySelector("#fit").addEventListener("click", fit);
view.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  const area = view.getBoundingClientRect();
  zoom(scale * Math.exp(-event.deltaY / 300), event.clientX - area.left, event.clientY - area.top);
}, { passive: false });

// ---- pan, by the background

let grip = null;

view.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || event.target.closest(".box")) return;
  if (event.offsetX > view.clientWidth || event.offsetY > view.clientHeight) return;
  grip = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
  view.setPointerCapture(event.pointerId);
  view.classList.add("dragged");
});
view.addEventListener("pointermove", (event) => {
  if (grip) view.scrollTo(grip.x - event.clientX, grip.y - event.clientY);
});
for (const end of ["pointerup", "pointercancel"]) {
  view.addEventListener(end, () => { grip = null; view.classList.remove("dragged"); });
}

// ---- search

const HIGHLIGHTED = 1000;
let drawn = null;
let listed = null;
let lookedFor = "";
let hits = [];
let at = -1;

function index(selector) {
  // What can be found, each with its text: the words on a box, a group's line, a row of its members; and what box it
  // is in, so that a namespace and a path find the one in the other.
  return Array.from(document.querySelectorAll(selector), (element) => {
    const title = element.closest(".box")?.querySelector(".title");
    return { element, text: element.textContent.toLowerCase(), box: title?.textContent.toLowerCase() ?? "" };
  });
}

function look() {
  for (const element of document.querySelectorAll(".hit, .current, .faint")) {
    element.classList.remove("hit", "current", "faint");
  }
  lookedFor = search.value;
  const words = lookedFor.toLowerCase().split(/\s+/).filter(Boolean);
  at = -1;
  hits = [];
  if (!words.length) {
    found.textContent = "";
    return;
  }
  drawn ??= index(".forest summary, .forest tbody tr");
  const fits = ({ text, box }) => words.some((word) => text.includes(word))
    && words.every((word) => text.includes(word) || box.includes(word));
  hits = drawn.filter(fits);
  if (!hits.length) {
    // What stays within one namespace is not drawn, but in the table.
    listed ??= index("main > details tbody tr");
    hits = listed.filter(fits);
  }
  hits = hits.map(({ element }) => element);
  hits.slice(0, HIGHLIGHTED).forEach((element) => element.classList.add("hit"));
  const withHits = new Set();
  for (const hit of hits) {
    for (let node = hit.closest(".node"); node && !withHits.has(node); node = node.parentElement.closest(".several")) {
      withHits.add(node);
    }
  }
  for (const node of forest.querySelectorAll(".node")) node.classList.toggle("faint", !withHits.has(node));
  found.textContent = hits.length ? `${hits.length} found` : "nothing found";
  if (hits.length) show(hits[0]);
}

function show(hit) {
  // Where it is folded away, what it is folded into; it is opened when the reader goes there.
  let seen = hit;
  const folded = (element) => element.parentElement.closest("details:not([open])");
  for (let around = folded(hit); around; around = folded(around)) seen = around.querySelector("summary");
  seen.scrollIntoView({ block: "center", inline: "center" });
}

function step(by) {
  if (!hits.length) return;
  hits[at]?.classList.remove("current");
  at = (at + by + hits.length) % hits.length;
  const hit = hits[at];
  for (let element = hit.parentElement; element; element = element.parentElement) {
    if (element.tagName === "DETAILS" && !(hit.tagName === "SUMMARY" && hit.parentElement === element)) element.open = true;
  }
  hit.classList.add("current");
  hit.scrollIntoView({ block: "center", inline: "center" });
  found.textContent = `${at + 1} of ${hits.length}`;
}

let timer = 0;
search.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(look, 120);
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    clearTimeout(timer);
    if (lookedFor !== search.value) look();
    step(event.shiftKey ? -1 : 1);
  } else if (event.key === "Escape") {
    search.value = "";
    look();
  }
});
document.querySelector("#next").addEventListener("click", () => step(1));
document.querySelector("#previous").addEventListener("click", () => step(-1));
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== search && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
  }
});
