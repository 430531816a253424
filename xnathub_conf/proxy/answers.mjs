// What the gate itself answers.
import http from "node:http";
import { isNavigation } from "./access.mjs";

// What every answer has that no server made, as the hub's own have it.
export const HEADERS = {
  "Cache-Control": "no-store",
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
  "Content-Security-Policy": "frame-ancestors 'none'",
};

// The same words as on the hub's pages.
const HEADINGS = { 400: "That does not work", 403: "Not allowed", 503: "Not available right now" };
const STYLE = `:root { color-scheme: light dark; background: #fff; color: #212529; font: 1.1rem/1.5 system-ui, sans-serif }
main { max-width: 44rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.9rem; font-weight: 500 }
a { color: #0a58ca; display: inline-block; padding: 0.25rem 0 }
@media (prefers-color-scheme: dark) { :root { background: #212529; color: #dee2e6 } a { color: #6ea8fe } }`;

// Answers a request that does not go on: with a page for a person, else with a line. Returns false, for "it does not".
export function refuse(proxy, req, res, code, text) {
  const isPage = isNavigation(req, !(res instanceof http.ServerResponse));
  const headers = { "Content-Type": `text/${isPage ? "html" : "plain"}; charset=utf-8` };
  return answer(proxy, req, res, code, headers, isPage ? page(code, text) : `${text}\n`, text);
}

function page(code, text) {
  const heading = HEADINGS[code] ?? "Something went wrong";
  const safe = text.replace(/[&<>"']/g, (each) => `&#${each.charCodeAt(0)};`);
  const again = code === 503 ? '<p><a href="">Try again</a></p>\n' : "";
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${heading}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${heading}</h1>
<p>${safe}</p>
${again}</main>
</body>
</html>
`;
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

function answer(proxy, req, res, code, extra, text, reason) {
  proxy.metrics.requestsProxyCount.labels(code).inc();
  if (code !== 302) proxy.log.info("%s %s %s %s", code, req.method, req.url.split("?", 1)[0], reason);
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
