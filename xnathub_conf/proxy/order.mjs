// Requests that come over one connection without a wait for answers go on one after the other, each after the answer to the
// one before: nobody's request overtakes one that waits.

const QUEUE = Symbol("requests of a connection");
const MOST = 50; // requests of one connection at once

// Returns whether a request may go on, once all before it on its connection are answered.
export async function inTurn(req, res) {
  const { socket } = req;
  const queue = (socket[QUEUE] ??= { open: 0, last: Promise.resolve() });
  if (queue.open >= MOST) {
    socket.destroy();
    return false;
  }
  const before = queue.open ? queue.last : null;
  queue.open += 1;
  queue.last = new Promise((resolve) => res.once("close", resolve)).then(() => (queue.open -= 1));
  if (before) await before;
  return !socket.destroyed && !res.destroyed;
}

// Returns whether a connection has requests without an answer.
export function isBusy(socket) {
  return (socket[QUEUE]?.open ?? 0) > 0;
}
