// Follows the start or stop of the user's server, and opens it once it is ready if this page began it.
const server = document.getElementById("server");
const part = (name) => document.getElementById(`server-${name}`);
const words = { starting: "Starting…", ready: "Ready.", stopping: "Stopping…", stopped: "Stopped.", failed: "It didn't work." };
const busy = (stage) => stage === "starting" || stage === "stopping";
let openWhenReady = server.dataset.open === "1";

function show(launch) {
  server.dataset.stage = launch.stage;
  server.hidden = launch.stage === "none";
  part("line").textContent = (words[launch.stage] || "") + (launch.project ? ` Project ${launch.project}.` : "");
  part("error").textContent = launch.error || "";
  part("error").hidden = !launch.error;
  part("progress").value = launch.progress;
  part("progress").hidden = launch.stage !== "starting";
  for (const message of launch.messages.slice(part("messages").children.length)) {
    part("messages").appendChild(document.createElement("li")).textContent = message;
  }
  part("open").hidden = part("stop").hidden = launch.stage !== "ready";
  part("open").href = launch.url || "";
  part("stop").elements.server.value = launch.server;
  for (const button of document.querySelectorAll(".start")) button.disabled = busy(launch.stage);
}

async function follow() {
  try {
    const response = await fetch("/standin/status", { redirect: "error" });
    const launch = await response.json();
    show(launch);
    if (launch.stage === "ready" && !launch.error && openWhenReady) {
      openWhenReady = false;
      location.assign(launch.url);
      return;
    }
    if (!busy(launch.stage)) return;
  } catch {
    part("line").textContent = "This page lost its server. Still trying…";
  }
  setTimeout(follow, 700);
}

// XNAT's pages make the event tracking ID themselves, and name the server after it.
for (const input of document.getElementsByName("eventTrackingId")) {
  input.form.addEventListener("submit", () => {
    input.value = new Date().toISOString().replace(/[-:.]/g, "");
  });
}

// Going back to this page later must not open the server again.
if (openWhenReady) history.replaceState(null, "", location.pathname);
if (busy(server.dataset.stage) || openWhenReady) follow();
