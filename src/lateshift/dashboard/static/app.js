// What a page does beyond links and forms: stays up to date, tells the time, asks before it destroys, takes keys.
(() => {
  "use strict";
  const html = document.documentElement, root = html.dataset.root;
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const page = () => one("#page");

  // --- Times: as `formatting.ago` writes them, by the server's clock.
  const remembered = (...value) => { // where site data is blocked, even looking raises, and nothing is remembered
    try { return value.length ? localStorage.setItem("lateshift-times", value[0]) : localStorage.getItem("lateshift-times"); } catch { return null; }
  };
  let skew = 0, exact = remembered() === "exact";
  const readClock = () => { skew = Number(page().dataset.now) - Date.now(); };
  const ago = (ms) => {
    const size = Math.abs(ms) / 1000;
    if (size < 1) return "now";
    const [unit, name] = size < 60 ? [1, "s"] : size < 3600 ? [60, "min"] : size < 86400 ? [3600, "h"] : [86400, "d"];
    const words = `${Math.floor(size / unit)} ${name}`;
    return ms > 0 ? `${words} ago` : `in ${words}`;
  };
  const two = (number) => String(number).padStart(2, "0");
  const stamp = (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  const clock = (d) => `${two(d.getHours())}:${two(d.getMinutes())}`;
  const forms = { stamp, clock, day: (d) => `${d.toLocaleDateString("en", { weekday: "short" })} ${clock(d)}` };
  const tick = () => {
    const now = Date.now() + skew;
    for (const each of all("time[datetime]")) {
      const moment = new Date(each.dateTime);
      const words = forms[each.dataset.as || (exact && "stamp")]?.(moment) ?? ago(now - moment);
      if (each.textContent !== words) each.textContent = words;
      each.title = `${stamp(moment)}.${String(moment.getMilliseconds()).padStart(3, "0")}, your time`;
    }
  };

  // --- Live: signals say that something changed; then the page fetches its content anew.
  const bulb = one("#live"), lost = one("#lost"), SILENT = "The dashboard does not answer. It is tried again by itself.";
  let source = null, timer = 0, asked = false, busy = false, quiet = 0, silence = 0, trouble = "";
  const show = (state, words) => {
    if (bulb.dataset.state === state) return;
    bulb.dataset.state = state;
    one(".words", bulb).textContent = words;
  };
  const complain = (words) => {
    trouble = words;
    lost.hidden = !words;
    if (lost.textContent !== words) lost.textContent = words;
    if (words) show("lost", "Disconnected");
  };
  const settled = () => { complain(""); show("on", html.hasAttribute("data-polling") ? "Live, every 3 s" : "Live"); };
  const engaged = () => one("dialog[open]") || (document.activeElement && document.activeElement.matches("#page input:not([type=checkbox]), #page select, #page textarea"))
    || one("#page [data-hold]:checked")
    || String(getSelection()).length > 0;
  const refresh = () => {
    if (document.hidden) return;
    if (engaged()) { asked = true; show("held", "Held while you work"); return; }
    if (busy) { asked = true; return; }
    asked = false;
    busy = true;
    htmx.trigger(page(), "refresh");
    clearTimeout(quiet);
    quiet = setTimeout(() => { busy = false; }, 10000);
  };
  let going = 0;
  const goingOn = () => { clearTimeout(going); if (one("#page [data-going]")) going = setTimeout(refresh, 1000); }; // what no signal tells of
  const finished = () => { busy = false; clearTimeout(quiet); if (asked) setTimeout(refresh, 200); };
  const connect = () => {
    if (html.hasAttribute("data-polling") || !window.EventSource) { timer ||= setInterval(refresh, 3000); settled(); return; }
    if (source) return;
    source = new EventSource(`${root}/events`);
    source.addEventListener("open", () => { // what happened while there was no stream is fetched now; streams end every ten seconds
      const late = Date.now() + skew - Number(page().dataset.now) > 1500;
      clearTimeout(silence);
      silence = 0;
      if (!trouble || trouble === SILENT) settled(); // what a page said, the next one takes back
      if (late) refresh();
    });
    source.addEventListener("change", (event) => {
      if (source.told !== undefined && source.told !== event.data) refresh();
      source.told = event.data;
    });
    source.addEventListener("error", () => {
      silence ||= setTimeout(() => { silence = 0; if (source && source.readyState !== 1) complain(SILENT); }, 4000); // a busy machine has been seen to take 1.5 s for the next stream
      if (source.readyState === 2) { source = null; refresh(); setTimeout(() => document.hidden || connect(), 3000); } // a session that ended is told to the page only
    });
  };
  const disconnect = () => { source?.close(); source = null; clearInterval(timer); timer = 0; };
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { disconnect(); show("off", "Paused"); } else { refresh(); connect(); }
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", (event) => { if (event.persisted) { refresh(); connect(); } });

  // --- Nothing jumps under the pointer: rows that are new wait above a table until it is left, or asked for.
  let under = null;
  document.addEventListener("pointerover", (event) => {
    const table = event.pointerType === "mouse" ? event.target.closest("table[data-steady]") : null;
    if (under && table !== under) { const left = under; under = null; if (left.dataset.newer) refresh(); }
    under = table;
  });
  const hold = (fragment) => {
    const rows = under?.isConnected && under.tBodies[0];
    if (!rows || !under.matches(":hover")) return;
    const fresh = all("table[data-steady]", fragment).find((table) => table.dataset.steady === under.dataset.steady)?.tBodies[0];
    if (!fresh) return;
    const known = new Map([...rows.rows].map((row) => [row.id, row]));
    const came = [...fresh.rows].filter((row) => !known.has(row.id)).length;
    const kept = [...rows.rows].map((row) => [...fresh.rows].find((each) => each.id === row.id) || row.cloneNode(true));
    fresh.replaceChildren(...kept);
    if (came) {
      under.dataset.newer = came;
      fresh.parentNode.dataset.newer = came;
      const caption = fresh.parentNode.createCaption();
      caption.innerHTML = "";
      const button = document.createElement("button");
      button.className = "newer";
      button.dataset.newest = "";
      button.textContent = `${came} newer`;
      caption.append(button);
    }
  };

  document.addEventListener("htmx:before:swap", (event) => {
    const { ctx, tasks } = event.detail;
    if (ctx.sourceElement === page() && ctx.response.status < 400 && engaged()) { // somebody began to type while it was fetched
      event.preventDefault();
      asked = true;
      show("held", "Held while you work");
      return;
    }
    if (ctx.response.status >= 400) {
      event.preventDefault();
      const doc = new DOMParser().parseFromString(ctx.text, "text/html");
      const words = one(".words", doc)?.textContent || `The dashboard answered with ${ctx.response.status}.`;
      if (ctx.request.method === "GET") complain(ctx.response.status === 404 ? "This is gone: it was deleted, or pruned." : words); else toast(words);
      return;
    }
    if (ctx.request.method === "GET") { for (const task of tasks || []) if (task.fragment) hold(task.fragment); settled(); }
  });
  document.addEventListener("htmx:after:swap", () => { readClock(); tick(); fade(); goingOn(); document.dispatchEvent(new Event("lateshift:fresh")); });
  document.addEventListener("htmx:finally:request", finished);
  document.addEventListener("htmx:error", () => { finished(); complain(SILENT); });
  htmx.registerExtension("keep", { // what the reader has opened stays open, and the search box what it is by its script
    htmx_before_morph_attr: (element, { attrName }) => !(attrName === "open" && element.localName === "details")
      && !(element.id === "q" && /^(role|aria-)/.test(attrName)),
  });

  // --- What an action said, for a while.
  const toast = (words) => {
    const p = document.createElement("p");
    p.className = "toast is-refused";
    p.textContent = words;
    one("#told").replaceChildren(p);
    fade();
  };
  let fading = 0;
  const fade = () => { clearTimeout(fading); if (one(".toast")) fading = setTimeout(() => one("#told").matches(":hover, :focus-within") ? fade() : one("#told").replaceChildren(), one(".toast form") ? 30000 : 7000); };

  // --- Pressing things.
  const ask = one("#ask");
  let waiting = null;
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.dataset.ask || form.dataset.sure) { delete form.dataset.sure; return; }
    event.preventDefault();
    event.stopImmediatePropagation();
    waiting = form;
    one("#ask-title").textContent = form.dataset.ask;
    one("#ask-detail").textContent = form.dataset.detail;
    one("#ask-yes").textContent = form.dataset.verb;
    one("#ask-yes").classList.toggle("danger", Boolean(one(".danger", form)));
    one("#ask-yes").classList.toggle("primary", !one(".danger", form));
    one("button[value=no]", ask).textContent = one(".danger", form) ? "Keep it" : "Not now";
    ask.returnValue = "";
    ask.showModal();
  }, true);
  ask.addEventListener("close", () => {
    const form = waiting;
    waiting = null;
    if (form && ask.returnValue === "yes") {
      form.dataset.sure = "yes";
      one("[name=confirmed]", form).value = "yes";
      form.requestSubmit();
    } else if (asked) refresh();
  });
  const copied = async (button) => {
    try { await navigator.clipboard.writeText(button.dataset.copy); } catch {
      const area = document.createElement("textarea");
      area.value = button.dataset.copy;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.classList.add("done");
    one("use", button).setAttribute("href", "#i-check");
    setTimeout(() => { button.classList.remove("done"); one("use", button)?.setAttribute("href", "#i-copy"); }, 1200);
  };
  const themes = ["system", "light", "dark"];
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.copy !== undefined) copied(button);
    else if (button.dataset.close !== undefined) one("#told").replaceChildren();
    else if (button.dataset.newest !== undefined) { under = null; refresh(); }
    else if (button.id === "keys") one("#help").showModal();
    else if (button.id === "theme") {
      const next = themes[(themes.indexOf(html.dataset.theme) + 1) % 3];
      html.dataset.theme = next;
      document.cookie = `lateshift_theme=${next};path=${root || "/"};max-age=31536000;samesite=lax`;
      button.title = `Colours: ${next}`;
      document.dispatchEvent(new Event("lateshift:theme"));
    }
  });
  document.addEventListener("change", (event) => { if (event.target.matches("form[data-auto] select")) event.target.form.requestSubmit(); });
  document.addEventListener("submit", (event) => { // this page is about to be left
    if (!event.defaultPrevented && event.target.method === "post" && !event.target.hasAttribute("hx-post")) disconnect();
  });
  document.addEventListener("submit", (event) => { // addresses without empty filters
    if (event.target.matches("form[data-auto]")) for (const field of event.target.elements) if (field.name && !field.value) field.disabled = true;
  });

  // --- Keys.
  let went = 0;
  const step = (by) => {
    const links = all("#page .row-link");
    if (!links.length) return;
    const at = links.findIndex((each) => each.closest("tr").contains(document.activeElement));
    links[at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(Math.max(at + by, 0), links.length - 1)].focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
    if (event.target.matches("input:not([type=checkbox]), select, textarea")) { if (event.key === "Escape") event.target.blur(); return; }
    if (Date.now() - went < 1200) { const link = one(`.rail [data-key="${CSS.escape(event.key)}"]`); went = 0; if (link) { event.preventDefault(); link.click(); return; } }
    if (event.key === "g") went = Date.now();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "t") { exact = !exact; remembered(exact ? "exact" : ""); tick(); }
    else if (event.key === "?") one("#help").showModal();
    else if (event.key === "/" && one("[data-search]")) { event.preventDefault(); one("[data-search]").focus(); }
  });

  readClock();
  tick();
  fade();
  goingOn();
  setInterval(tick, 1000);
  if (!document.hidden) connect();
})();
