// What is open between browsers and users' servers, so that it can be ended when its pass is.

const AT_ONCE = 64; // questions: one that XNAT takes long to answer must not hold up the others

export class Streams {
  constructor() {
    this.byRoute = new Map();
  }

  // Remembers an open response or websocket until it closes; `close` ends it.
  add(prefix, stream, entry) {
    let open = this.byRoute.get(prefix);
    if (!open) this.byRoute.set(prefix, (open = new Set()));
    open.add(entry);
    stream.once("close", () => {
      open.delete(entry);
      if (!open.size && this.byRoute.get(prefix) === open) this.byRoute.delete(prefix);
    });
  }

  // Ends what browsers opened to a route by an epoch that is no longer its own, and what anybody did before its last end.
  endOld(prefix, { gate: epoch, ended = 0 }) {
    for (const entry of this.byRoute.get(prefix) ?? []) {
      if (entry.ended < ended || (entry.admitted && entry.epoch !== epoch)) entry.close();
    }
  }

  // Ends what came to a route by a pass that `holds` says no to. One look at a time.
  async recheck(holds) {
    if (this.looking) return;
    this.looking = true;
    try {
      const all = [...this.byRoute].flatMap(([prefix, open]) => [...open].map((entry) => [prefix, entry])).values();
      const look = async () => {
        for (const [prefix, entry] of all) if (!(await holds(prefix, entry))) entry.close();
      };
      await Promise.all(Array.from({ length: AT_ONCE }, look));
    } finally {
      this.looking = false;
    }
  }
}
