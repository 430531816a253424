// Asks the hub whether a browser's pass still holds: once for all requests that wait for the same answer.
import { createHash } from "node:crypto";
import { ask } from "./ask.mjs";

const TIMEOUT = 60_000; // ms: the hub itself waits for XNAT, and its word counts however late
const ANSWER_KEPT = 10_000; // ms: a page's other requests still have the old cookie
const REFUSAL_KEPT = 2_000; // ms
const AWAY_KEPT = 5_000; // ms
const MOST = 10_000; // answers

export class Renewals {
  // `where` gives the address and options of the hub's answer, `patience` knows whether the hub is away.
  constructor(key, where, log, patience) {
    Object.assign(this, { key, where, log, patience, known: new Map() });
  }

  // Returns {cookie}, {refused: true}, or {away: true} where it takes the hub longer than `patience`, in ms, to say so.
  renew(cookie, session, patience) {
    // Whoever has a pass makes up sessions as long as a header may be: none of it is kept.
    const name = createHash("sha256").update(`${cookie}\n${session ?? ""}`).digest("base64");
    const now = Date.now();
    const known = this.known.get(name);
    if (known && known.until > now) return waited(known, patience);
    // Who was refused stays so until the hub says otherwise.
    const meanwhile = known?.answer.refused ? { refused: true } : { away: true };
    if (this.patience.away) return meanwhile;
    const entry = { until: Infinity, meanwhile, began: now, answer: null };
    // Where it has not answered before, nobody waits for it.
    if (known?.answer.away) entry.began = 0;
    const settle = (answer, kept) => Object.assign(entry, { answer, until: Date.now() + kept }).answer;
    entry.asked = this.#ask(cookie, session).then(
      (answer) => settle(answer, answer.refused ? REFUSAL_KEPT : ANSWER_KEPT),
      (error) => {
        this.log.warn("The hub did not say whether a browser may still pass: %s", error.message);
        return settle(meanwhile, AWAY_KEPT);
      }
    );
    this.known.delete(name);
    for (const oldest of this.known.keys()) {
      if (this.known.size < MOST) break;
      this.known.delete(oldest);
    }
    this.known.set(name, entry);
    return waited(entry, patience);
  }

  async #ask(cookie, session) {
    const { status, text } = await ask(this.key, this.where, "renew", { cookie, session }, TIMEOUT);
    if (status === 403) return { refused: true };
    if (status !== 200) throw new Error(`it answered ${status}`);
    const answer = JSON.parse(text);
    if (typeof answer.cookie !== "string" || !/^[\w.-]+$/.test(answer.cookie)) throw new Error("it sent no cookie");
    return { cookie: answer.cookie };
  }
}

// Returns the hub's answer, or what holds until it comes.
async function waited({ answer, asked, began, meanwhile }, patience) {
  const left = began + patience - Date.now();
  if (answer || left <= 0) return answer ?? meanwhile;
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, left, meanwhile)));
  try {
    return await Promise.race([asked, late]);
  } finally {
    clearTimeout(timer);
  }
}
