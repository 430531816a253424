// Requests to the hub wait while it is away, which a restart takes, rather than fail.
import net from "node:net";

const LONGEST = 20_000; // ms that a request waits
const PAUSE = 250; // ms between two looks
const LOOK = 2_000; // ms for one look
const MOST = 2_000; // requests that wait at once
const MOST_BYTES = 2 ** 26; // of them all
const HELD = 2 ** 17; // bytes of a body that a waiting connection holds at most, since nobody reads on
const REPEATS = 5; // of one request
const AWAY = new Set([
  "ECONNREFUSED", "ECONNRESET", "EPIPE", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN",
]); // prettier-ignore

const STATE = Symbol("wait for the hub");

export class Patience {
  #looking = null;
  #waiting = 0;
  #bytes = 0;
  #seeing = null;
  #target = null;

  constructor(log) {
    this.log = log;
  }

  // Whether the hub is known to be away. One look at a time finds it back: its name may take seconds to resolve, and
  // only a few names can be resolved at once.
  get away() {
    return this.#looking !== null;
  }

  // Returns whether a request may go to the hub at `target`, when it may. What can't be sent twice goes only to a hub that
  // is seen to listen.
  async ready(req, res, target) {
    this.#target = target;
    req[STATE] = { headers: { ...req.headers }, until: Date.now() + LONGEST, repeats: REPEATS };
    if (!this.away && (canRepeat(req) || (await this.#sees()))) return true;
    return this.#wait(req, res);
  }

  // Returns whether a request that the hub did not answer is worth a wait.
  mayRepeat(req, res, error) {
    const state = req[STATE];
    if (!state || !AWAY.has(error?.code) || !canRepeat(req) || res.headersSent || res.destroyed) return false;
    state.repeats -= 1;
    return state.repeats >= 0;
  }

  // Returns, once the hub is back, whether a request may go to it again.
  async again(req, res) {
    const back = await this.#wait(req, res);
    // The first try has put its own into them.
    req.headers = { ...req[STATE].headers };
    return back;
  }

  // Returns whether the hub listens. All who ask at once get one answer.
  #sees() {
    this.#seeing ??= listens(this.#target).finally(() => (this.#seeing = null));
    return this.#seeing;
  }

  async #wait(req, res) {
    const { until } = req[STATE];
    const bytes = held(req);
    if (this.#waiting >= MOST || this.#bytes + bytes > MOST_BYTES) return false;
    this.#waiting += 1;
    this.#bytes += bytes;
    const gone = new Promise((resolve) => res.once("close", () => resolve(false)));
    let timer;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, Math.max(0, until - Date.now()), false)));
    try {
      this.#looking ??= this.#look();
      return (await Promise.race([this.#looking, late, gone])) && !res.destroyed;
    } finally {
      clearTimeout(timer);
      this.#waiting -= 1;
      this.#bytes -= bytes;
    }
  }

  // Resolves to true when the hub listens, and to false when nobody waits any more.
  async #look() {
    this.log.info("The hub at %s is away; requests to it wait", this.#target);
    const began = Date.now();
    try {
      do {
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
        if (await this.#sees()) {
          this.log.info("The hub is back after %d ms", Date.now() - began);
          return true;
        }
      } while (this.#waiting > 0);
      return false;
    } finally {
      this.#looking = null;
    }
  }
}

// Returns the bytes of memory that a request takes while it waits, at most.
function held(req) {
  const headers = req.rawHeaders.reduce((sum, text) => sum + text.length, req.url.length);
  const body = req.headers["transfer-encoding"] === undefined ? Number(req.headers["content-length"] ?? 0) : HELD;
  return 2 * headers + Math.min(body, HELD);
}

function canRepeat(req) {
  return ["GET", "HEAD"].includes(req.method) && req.headers["transfer-encoding"] === undefined && !Number(req.headers["content-length"] ?? 0);
}

// Returns whether something takes connections at an address.
function listens(target) {
  const url = new URL(target);
  if (!/^https?:$/.test(url.protocol)) return Promise.resolve(true);
  const port = Number(url.port || (url.protocol === "https:" ? 443 : 80));
  return new Promise((resolve) => {
    const socket = net.connect({ host: url.hostname.replace(/^\[|\]$/g, ""), port });
    const end = (found) => {
      socket.destroy();
      resolve(found);
    };
    socket.setTimeout(LOOK, () => end(false));
    socket.once("connect", () => end(true));
    socket.once("error", () => end(false));
  });
}
