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
