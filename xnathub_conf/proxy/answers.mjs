// What the gate itself answers.
import http from "node:http";

// What every answer has that no server made, as the hub's own have it.
export const HEADERS = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
  "Content-Security-Policy": "frame-ancestors 'none'",
};

// Answers a request that does not go on. Returns false, for "it does not".
export function refuse(proxy, req, res, code, text) {
  return answer(proxy, req, res, code, { "Content-Type": "text/plain; charset=utf-8" }, `${text}\n`);
}

// Sends a browser elsewhere. Returns false.
export function redirect(proxy, req, res, location, cookies) {
  const headers = { Location: location, ...(cookies.length ? { "Set-Cookie": cookies } : {}) };
  return answer(proxy, req, res, 302, headers, "");
}

// Returns an address without the tokens in its query, and the first of them or null.
export function withoutToken(url) {
  const at = url.indexOf("?");
  if (at < 0) return { url, token: null };
  let token = null;
  const rest = url
    .slice(at + 1)
    .split("&")
    .filter((part) => {
      const [name, value] = split(part);
      if (name !== "token") return true;
      token ??= value;
      return false;
    });
  return { url: url.slice(0, at) + (rest.length ? `?${rest.join("&")}` : ""), token };
}

function split(part) {
  const decode = (text) => {
    try {
      return decodeURIComponent(text.replaceAll("+", " "));
    } catch {
      return text;
    }
  };
  const at = part.indexOf("=");
  return at < 0 ? [decode(part), ""] : [decode(part.slice(0, at)), decode(part.slice(at + 1))];
}

function answer(proxy, req, res, code, extra, text) {
  proxy.metrics.requestsProxyCount.labels(code).inc();
  if (code !== 302) proxy.log.info("%s %s %s %s", code, req.method, req.url.split("?", 1)[0], text.trim());
  const headers = {
    ...extra,
    "Content-Length": Buffer.byteLength(text),
    ...HEADERS,
    // After a request that can be read in two ways, nothing more is read; and nobody's body is read for nothing.
    ...(code === 302 ? {} : { Connection: "close" }),
  };
  if (res instanceof http.ServerResponse) {
    if (!res.headersSent) res.writeHead(code, headers);
    res.end(req.method === "HEAD" ? "" : text);
  } else {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    res.end(`HTTP/1.1 ${code} ${http.STATUS_CODES[code]}\r\n${lines.join("")}\r\n${text}`);
  }
  return false;
}
