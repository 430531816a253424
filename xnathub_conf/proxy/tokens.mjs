// Whether the hub knows a program's token: a server reads a whole body before it asks whose it is, so a stranger's is not sent on.
import { createHash } from "node:crypto";
import { ask } from "./ask.mjs";

const MOST_UNASKED = 2 ** 16; // bytes of a body with which any token goes on to the server
const TIMEOUT = 10_000; // ms
const KEPT = 10_000; // ms
const MOST = 2_000; // answers of each kind

// Returns whether a request has a body that is large, or may become so.
export function isLarge({ headers }) {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > MOST_UNASKED;
}

export class Tokens {
  // `where` gives the address and options of the hub's answer.
  constructor(key, where, log) {
    Object.assign(this, { key, where, log, asked: new Map() });
    // Apart, so that made-up ones push no good one out.
    this.answers = new Map([true, false].map((known) => [known, new Map()]));
  }

  // Returns whether the hub knows the token in an Authorization header, or null where it does not say.
  async knows(authorization) {
    const token = authorization.replace(/^\w+\s+/, "");
    const name = createHash("sha256").update(token).digest("base64");
    for (const [known, until] of this.answers) if (until.get(name) > Date.now()) return known;
    let question = this.asked.get(name);
    if (!question) {
      question = this.#ask(token, name).finally(() => this.asked.delete(name));
      this.asked.set(name, question);
    }
    return question;
  }

  async #ask(token, name) {
    try {
      const { status } = await ask(this.key, this.where, "token", { token }, TIMEOUT);
      if (status !== 204 && status !== 403) throw new Error(`it answered ${status}`);
      this.#keep(this.answers.get(status === 204), name);
      return status === 204;
    } catch (error) {
      this.log.warn("The hub did not say whether it knows a program's token: %s", error.message);
      return null;
    }
  }

  #keep(answers, name) {
    answers.delete(name);
    if (answers.size >= MOST) answers.delete(answers.keys().next().value);
    answers.set(name, Date.now() + KEPT);
  }
}
