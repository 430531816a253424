// An answer that breaks off ends its connection: the browser, or the web server in front, would wait for the rest for ever.

const ANSWER = Symbol("the target's answer");

// Makes a proxy of http-proxy end what its target did not finish.
export function endHalves(server) {
  const begin = (answer, res) => {
    res[ANSWER] = answer;
    answer.once("close", () => answer.complete || res.destroy());
    // What it announces is not sent on, and Node.js refuses an answer without it.
    delete answer.headers.trailer;
  };
  server.on("proxyRes", (answer, _req, res) => begin(answer, res));
  server.on("proxyReqWs", (out, _req, socket) => {
    out.on("upgrade", (answer) => (socket[ANSWER] = answer));
    out.on("response", (answer) => begin(answer, socket));
  });
  // A target that changes the protocol, and was not asked to, gives no answer at all.
  server.on("proxyReq", (out, _req, res) => {
    out.on("upgrade", (_answer, socket) => {
      socket.destroy();
      res.destroy();
    });
  });
}

// Returns whether an error came too late for a page that tells it, since the target's answer is on its way. Ends half an answer.
export function cameTooLate(res) {
  const answer = res[ANSWER];
  if (answer && !answer.complete) res.destroy();
  return answer !== undefined;
}
