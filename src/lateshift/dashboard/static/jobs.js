// The jobs page beyond links and forms: what the search box offers, and selecting rows.
(() => {
  "use strict";
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- What the search box offers. Places are counted in characters, as the server does.
  const box = () => one("#q"), offers = () => one("#offers");
  let asking = 0, number = 0, offered = "", held = []; // keys that wait for what is offered for the text as it is now
  const options = () => all("[role=option]", offers());
  const active = () => one("[aria-selected=true]", offers());
  const open = (html) => {
    offers().innerHTML = html;
    offers().hidden = !html.trim();
    box().setAttribute("aria-expanded", String(options().length > 0));
    box().removeAttribute("aria-activedescendant");
    if (offered === box().value) for (const key of held.splice(0)) if (!press(key) && key === "Enter") box().form.requestSubmit();
  };
  const close = () => { clearTimeout(asking); number += 1; held = []; open(""); };
  const ask = async () => {
    const mine = number += 1, text = box().value;
    const at = [...text.slice(0, box().selectionStart)].length;
    let html = "";
    try {
      const answer = await fetch(`${box().dataset.offers}?${new URLSearchParams({ q: text, at })}`);
      if (answer.ok) html = await answer.text();
    } catch { /* without an answer there is nothing to offer */ }
    if (mine === number && document.activeElement === box()) { offered = text; open(html); }
  };
  const choose = (option) => {
    for (const each of options()) each.setAttribute("aria-selected", String(each === option));
    box().setAttribute("aria-activedescendant", option.id);
    option.scrollIntoView({ block: "nearest" });
  };
  const take = (option) => {
    let text = option.dataset.text, caret = [...text].slice(0, Number(option.dataset.caret)).join("").length;
    if (!/[:.]$/.test(text.slice(0, caret)) && !/^\s/.test(text.slice(caret))) text = `${text.slice(0, caret)} ${text.slice(caret)}`;
    if (/^\s/.test(text.slice(caret))) caret += 1;
    box().value = text;
    box().setSelectionRange(caret, caret);
    ask();
  };
  const press = (key) => {
    const list = options(), at = list.indexOf(active()), step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (step && list.length) choose(list[at < 0 ? (step > 0 ? 0 : list.length - 1) : (at + step + list.length) % list.length]);
    else if ((key === "Enter" || key === "Tab") && active()) take(active());
    else return false;
    return true;
  };
  document.addEventListener("input", (event) => {
    if (event.target !== box()) return;
    held = [];
    clearTimeout(asking);
    asking = setTimeout(ask, 120);
  });
  document.addEventListener("focusin", (event) => { if (event.target === box()) ask(); });
  document.addEventListener("focusout", (event) => { if (event.target === box()) close(); });
  document.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("#offers")) return;
    event.preventDefault(); // the box keeps the focus
    const option = event.target.closest("[role=option]");
    if (option) take(option);
  });
  document.addEventListener("keydown", (event) => {
    if (event.target !== box() || offers().hidden) return;
    const late = offered !== box().value, arrow = event.key === "ArrowDown" || event.key === "ArrowUp";
    if (event.key === "Escape") { close(); if (box().value === box().defaultValue) return; } // and leaves the box
    else if (late && (arrow || (event.key === "Enter" && held.length))) held.push(event.key);
    else if (late || !press(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  }, true);

  // --- Selecting rows. While any is selected the page is not fetched anew.
  const picks = () => all("#page input[name=id]");
  let last = null;
  const update = () => {
    const bar = one("#bulk");
    if (!bar) return;
    const every = one("#every").checked, found = picks(), picked = found.filter((each) => each.checked);
    for (const each of found) {
      each.disabled = every;
      each.closest("tr").classList.toggle("picked", every || each.checked);
    }
    const head = one("#page-all");
    head.disabled = every;
    head.checked = found.length > 0 && picked.length === found.length;
    head.indeterminate = picked.length > 0 && !head.checked;
    one("#picked").textContent = every ? "" : picked.length ? `${picked.length} selected` : "";
    for (const button of all("button", bar)) button.disabled = !every && !picked.length;
  };
  document.addEventListener("change", (event) => {
    if (event.target.id === "page-all") for (const each of picks()) each.checked = event.target.checked;
    if (event.target.closest("#page")) update();
  });
  document.addEventListener("click", (event) => { // with Shift: all from the last one to this one
    if (!event.target.matches("#page input[name=id]")) return;
    const found = picks(), from = found.indexOf(last), to = found.indexOf(event.target);
    if (event.shiftKey && from >= 0) for (const each of found.slice(Math.min(from, to), Math.max(from, to) + 1)) each.checked = event.target.checked;
    last = event.target;
    update();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (event.key === "x") {
      const pick = document.activeElement.closest("tr") && one("input[name=id]", document.activeElement.closest("tr"));
      if (pick && !pick.disabled) pick.checked = !pick.checked;
    } else if (event.key === "Escape") for (const each of all("#page [data-hold]:checked")) each.checked = false;
    else return;
    update();
  });
  document.addEventListener("lateshift:fresh", update);

  const input = box();
  for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-controls", "offers"], ["aria-expanded", "false"]]) input.setAttribute(name, value);
  update();
})();
