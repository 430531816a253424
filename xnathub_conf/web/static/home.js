// The page of a user's servers: it shows what is so, also when XNAT or another window starts or stops one.
(() => {
  const SOON = 1000;
  const LATER = 15000;
  const { base_url: base, user, xsrf_token: token } = window.jhdata;
  let timer;

  const main = () => document.querySelector("main[data-live]");

  // The page as the hub makes it now, put in the place of this one where it differs.
  async function look() {
    clearTimeout(timer);
    try {
      const answer = await fetch(window.location.href, { headers: { Accept: "text/html" } });
      if (answer.redirected) {
        // Signed out: the page that says so is the one to see.
        window.location.reload();
      } else if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const now = page.querySelector("main[data-live]");
        if (now && now.outerHTML !== shown) show(now);
      }
    } catch {
      // The network is away for a moment.
    }
    again();
  }

  let shown = main().outerHTML;

  function show(now) {
    shown = now.outerHTML;
    const focused = document.activeElement?.closest("main");
    main().replaceWith(document.adoptNode(now));
    if (focused) {
      // What had the focus may be gone; the keyboard goes on at the same place of the page.
      (main().querySelector(".actions a, .actions button") ?? main().querySelector("a, button"))?.focus();
    }
    document.dispatchEvent(new Event("shown"));
  }

  function again() {
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(look, main().dataset.live ? SOON : LATER);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-stop]");
    if (!button) return;
    const label = button.textContent;
    button.disabled = true;
    const remove = "remove" in button.dataset;
    button.textContent = remove ? "Removing …" : "Stopping …";
    const path = `${base}api/users/${encodeURIComponent(user)}/${button.dataset.stop}`;
    try {
      const answer = await fetch(path, {
        method: "DELETE",
        headers: { "X-XSRFToken": token },
        body: remove ? JSON.stringify({ remove }) : null,
      });
      if (!answer.ok && answer.status !== 404) throw new Error(`HTTP ${answer.status}`);
    } catch (error) {
      const failed = document.getElementById("stop-failed");
      failed.textContent = `It could not be ${remove ? "removed" : "stopped"} (${error.message}). Try again.`;
      failed.hidden = false;
      button.disabled = false;
      button.textContent = label;
      return;
    }
    look();
  });
  // Times as those who read them write them.
  function times() {
    for (const each of main().querySelectorAll("time")) {
      each.textContent = new Date(each.dateTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
    }
  }

  document.addEventListener("shown", times);
  times();
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : look()));
  again();
})();
