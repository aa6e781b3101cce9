"use strict";
// Search over the names of the index. Without this file every page is reached by links.
(() => {
  const form = document.querySelector(".search"), box = document.getElementById("q");
  const list = document.getElementById("results"), said = document.getElementById("found");
  const every = window.LEDGER || [], up = document.body.dataset.up || "";
  form.hidden = false;
  const show = () => {
    const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? every.filter(([name, , more]) => words.every((word) => `${name} ${more}`.toLowerCase().includes(word))) : [];
    list.replaceChildren(...found.slice(0, 12).map(([name, path, more]) => {
      const item = document.createElement("li"), link = document.createElement("a"), small = document.createElement("span");
      link.href = up + path;
      link.textContent = name;
      small.textContent = more;
      link.append(small);
      item.append(link);
      return item;
    }));
    list.hidden = !found.length;
    said.textContent = words.length ? `${found.length} found` : "";
    said.classList.toggle("hidden", !words.length || found.length > 0);
  };
  const links = () => [...list.querySelectorAll("a")];
  box.addEventListener("input", show);
  form.addEventListener("submit", (event) => { event.preventDefault(); links()[0]?.click(); });
  form.addEventListener("keydown", (event) => {
    const stops = [box, ...links()], at = stops.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) { event.preventDefault(); stops[(at + step + stops.length) % stops.length].focus(); }
    if (event.key === "Escape") { box.value = ""; show(); box.focus(); }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) { event.preventDefault(); box.focus(); }
  });
  document.addEventListener("click", (event) => { if (!form.contains(event.target)) list.hidden = true; });
  document.body.dataset.ready = "yes";
})();
