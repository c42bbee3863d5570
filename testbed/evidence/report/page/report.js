"use strict";
// The page works without this; it adds the search and what needs more than a click.
(() => {
  const scenarios = [...document.querySelectorAll("details.scenario")];
  const search = document.getElementById("search");
  const nothing = document.getElementById("nothing");

  const openTarget = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    for (let box = target; box; box = box.parentElement) {
      if (box.tagName === "DETAILS") box.open = true;
    }
    if (target) target.scrollIntoView();
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const one of scenarios) {
      const text = one.textContent.toLowerCase();
      one.hidden = !words.every((word) => text.includes(word));
      if (!one.hidden) shown += 1;
    }
    nothing.hidden = shown > 0;
  };

  if (search) {
    for (const part of document.querySelectorAll(".search, .buttons")) part.hidden = false;
    search.addEventListener("input", filter);
    search.form.addEventListener("submit", (event) => event.preventDefault());
    const all = (open) => () => { for (const one of scenarios) one.open = open; };
    document.getElementById("open").addEventListener("click", all(true));
    document.getElementById("close").addEventListener("click", all(false));
  }
  addEventListener("hashchange", openTarget);
  addEventListener("beforeprint", () => {
    for (const box of document.querySelectorAll("details")) box.open = true;
  });
  openTarget();
})();
