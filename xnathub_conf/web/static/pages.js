// The page of a server that starts: the time so far, and the reason in full where the start fails.
(() => {
  const time = document.getElementById("time-so-far");
  const bar = document.getElementById("progress-bar");
  if (!time || !bar) {
    return;
  }
  const began = Date.now() - 1000 * Number(time.dataset.seconds);
  setInterval(() => {
    const seconds = Math.floor((Date.now() - began) / 1000);
    const minutes = Math.floor(seconds / 60);
    time.textContent = minutes ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
  }, 1000);
  // JupyterHub's script paints the bar red when the start has failed; the same address then says why.
  new MutationObserver(() => {
    if (bar.classList.contains("bg-danger")) {
      window.location.reload();
    }
  }).observe(bar, { attributeFilter: ["class"] });
})();

// What XNAT holds nothing for any more can't be started again: such a link goes, and what stands beside it says so.
(() => {
  async function look() {
    for (const link of document.querySelectorAll("a[data-launchable]")) {
      const query = new URLSearchParams({ user: link.dataset.user, server: link.dataset.launchable });
      try {
        const answer = await fetch(`${window.jhdata.base_url}launchable?${query}`);
        if (answer.ok && (await answer.json()).launchable === false) {
          document.querySelectorAll(".if-launchable").forEach((each) => each.remove());
          document.querySelectorAll(".if-not-launchable").forEach((each) => (each.hidden = false));
          link.remove();
        }
      } catch {
        // The link stays, and its page says what is wrong.
      }
      link.hidden = false;
    }
  }
  document.addEventListener("shown", look);
  look();
})();
