// Asks the hub whether a browser's pass still holds: once for all requests that wait for the same answer.
import { createHash } from "node:crypto";
import http from "node:http";
import https from "node:https";
import { sign } from "./signing.mjs";

const TIMEOUT = 5_000; // ms
const ANSWER_KEPT = 10_000; // ms: a page's other requests still have the old cookie
const REFUSAL_KEPT = 2_000; // ms
const AWAY_KEPT = 5_000; // ms
const MOST = 10_000; // answers

export class Renewals {
  // `where` gives the address and options of the hub's answer, `patience` knows whether the hub is away.
  constructor(key, where, log, patience) {
    Object.assign(this, { key, where, log, patience, known: new Map() });
  }

  // Returns {cookie}, {refused: true}, or {away: true}.
  renew(cookie, session) {
    // Whoever has a pass makes up sessions as long as a header may be: none of it is kept.
    const name = createHash("sha256").update(`${cookie}\n${session ?? ""}`).digest("base64");
    const now = Date.now();
    const known = this.known.get(name);
    if (known && known.until > now) return known.answer;
    if (this.patience.away) return { away: true };
    const entry = { until: Infinity, away: known?.away };
    const answer = this.#ask(cookie, session).then(
      (answer) => {
        Object.assign(entry, { answer, away: false });
        entry.until = Date.now() + (answer.refused ? REFUSAL_KEPT : ANSWER_KEPT);
        return answer;
      },
      (error) => {
        this.log.warn("The hub did not say whether a browser may still pass: %s", error.message);
        Object.assign(entry, { answer: { away: true }, away: true, until: Date.now() + AWAY_KEPT });
        return entry.answer;
      }
    );
    // Where it has not answered before, nobody waits for it.
    entry.answer = entry.away ? { away: true } : answer;
    this.known.delete(name);
    for (const oldest of this.known.keys()) {
      if (this.known.size < MOST) break;
      this.known.delete(oldest);
    }
    this.known.set(name, entry);
    return entry.answer;
  }

  async #ask(cookie, session) {
    const body = JSON.stringify({ cookie, session });
    const { url, options } = await this.where();
    const headers = {
      "Content-Type": "application/json",
      "Content-Length": Buffer.byteLength(body),
      "X-Xnathub-Gate": sign(this.key, `renew:${body}`).toString("base64url"),
    };
    const request = (url.protocol === "https:" ? https : http).request(url, { ...options, method: "POST", headers });
    const text = await new Promise((resolve, reject) => {
      const timer = setTimeout(() => request.destroy(new Error(`no answer within ${TIMEOUT / 1000} s`)), TIMEOUT);
      const done = (act, value) => {
        clearTimeout(timer);
        act(value);
      };
      request.on("error", (error) => done(reject, error));
      request.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => (text += chunk));
        response.on("error", (error) => done(reject, error));
        response.on("close", () => done(reject, new Error("half an answer")));
        response.on("end", () => done(resolve, { status: response.statusCode, text }));
      });
      request.end(body);
    });
    if (text.status === 403) return { refused: true };
    if (text.status !== 200) throw new Error(`it answered ${text.status}`);
    const answer = JSON.parse(text.text);
    if (typeof answer.cookie !== "string" || !/^[\w.-]+$/.test(answer.cookie)) throw new Error("it sent no cookie");
    return { cookie: answer.cookie };
  }
}
