// Keeps the end of a running job's log in sight, unless the reader has scrolled up.
(() => {
  "use strict";
  let following = true;
  const log = () => document.querySelector("[data-tail]");
  const end = () => { const at = log(); if (at && following) at.scrollTop = at.scrollHeight; };
  document.addEventListener("scroll", (event) => {
    const at = event.target;
    if (at === log()) following = at.scrollHeight - at.scrollTop - at.clientHeight < 24;
  }, true);
  document.addEventListener("lateshift:fresh", end);
  end();
})();
