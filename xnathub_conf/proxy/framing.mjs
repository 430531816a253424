// Where one request ends and the next begins: what could be read in two ways is refused before it reaches a server.

import { refuse } from "./answers.mjs";
import { inTurn, isBusy } from "./order.mjs";

const GUARDED = Symbol.for("xnathub framing");

// Makes every proxy of a class refuse what can be read in two ways, and send bodies on as bodies. Does so once.
export function guardFraming(ConfigurableProxy) {
  const proto = ConfigurableProxy.prototype;
  if (proto[GUARDED]) return;
  proto[GUARDED] = true;
  const { handleProxy } = proto;
  proto.handleProxy = async function (kind, req, res, head) {
    const isUpgrade = kind === "ws";
    // Without a listener, a connection that breaks early would end the whole proxy.
    if (isUpgrade) res.on("error", () => res.destroy());
    const unsafe = unsafeFraming(req, isUpgrade);
    if (unsafe) return refuse(this, req, res, 400, `This request was refused: ${unsafe}.`);
    // A websocket's bytes must not get between the answers to earlier requests.
    if (isUpgrade && isBusy(req.socket)) return res.destroy();
    if (!isUpgrade && !(await inTurn(req, res))) return undefined;
    settleHeaders(req, isUpgrade);
    keepLengths(this.proxy);
    return handleProxy.call(this, kind, req, res, ...(isUpgrade ? [head] : []));
  };
}

// Returns why a request may not go on, or null.
function unsafeFraming(req, isUpgrade) {
  if (req.headers["content-length"] === undefined && req.headers["transfer-encoding"] === undefined) return null;
  const lengths = values(req, "content-length");
  const codings = values(req, "transfer-encoding");
  if (lengths.length > 1 || codings.length > 1) return "its length is given twice";
  if (lengths.length && codings.length) return "it has both Content-Length and Transfer-Encoding";
  if (lengths.length && !/^\d+$/.test(lengths[0])) return "its Content-Length is no number";
  if (codings.length && codings[0].toLowerCase() !== "chunked") return "its Transfer-Encoding is not chunked";
  if (codings.length && req.httpVersion !== "1.1") return "HTTP/1.0 knows no Transfer-Encoding";
  if (isUpgrade && (codings.length || Number(lengths[0] ?? 0) > 0)) return "a websocket begins with no body";
  return null;
}

// Makes the headers of a request say of its connection and its body what this proxy itself does.
function settleHeaders(req, isUpgrade) {
  const headers = req.headers;
  if (headers["transfer-encoding"]) headers["transfer-encoding"] = "chunked";
  // Node.js has answered an Expect: 100-continue already.
  for (const name of ["expect", "te", "trailer", "keep-alive", "proxy-connection", "http2-settings"]) {
    if (headers[name] !== undefined) delete headers[name];
  }
  if (isUpgrade) {
    headers.connection = "Upgrade";
    return;
  }
  if (headers.upgrade !== undefined) delete headers.upgrade;
  const wish = headers.connection ?? "";
  const close = req.httpVersion === "1.1" ? /\bclose\b/i.test(wish) : !/\bkeep-alive\b/i.test(wish);
  headers.connection = close ? "close" : "keep-alive";
}

// http-proxy takes the length off a DELETE or OPTIONS with a chunked body, and sends the body on all the same:
// a server takes it for the next request.
function keepLengths(proxy) {
  if (!proxy.webPasses.some((pass) => pass.name === "deleteLength")) return;
  proxy.webPasses = proxy.webPasses.filter((pass) => pass.name !== "deleteLength");
}

function values(req, name) {
  const found = [];
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    if (req.rawHeaders[i].toLowerCase() === name) found.push(req.rawHeaders[i + 1].trim());
  }
  return found;
}
