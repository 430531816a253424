// A host name for each user's servers: each request is at the host that it belongs to, and a pass gets there from the hub's.
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { isNavigation, isProgram } from "./access.mjs";
import { redirect, refuse, withoutToken } from "./answers.mjs";
import { jarOf } from "./cookies.mjs";
import { hostCookie, sealed, setPass, sign } from "./signing.mjs";

// What a browser was given as it was sent to the hub: a ticket is good for that browser alone.
const STATE_COOKIE = "xnathub-state";
const STATE_SECONDS = 600;

// Returns whether a request may be looked at further; answers it where it is at another host than it belongs to.
export function atItsPlace(proxy, req, res, settings, { data, isHub }, isUpgrade) {
  const host = hostOf(req);
  const { hub } = settings.hosts;
  const owner = isHub ? undefined : data.user;
  // A route that an earlier hub made says nothing of a host.
  const own = owner === undefined ? null : (data.host ?? "");
  const there = own === null ? !host.endsWith(`.${hub}`) : own !== "" && host === own;
  if (there || (owner !== undefined && isProgram(req))) return true;
  const path = req.url.split("?", 1)[0];
  if (own === null && req.method === "GET" && !isUpgrade) {
    if (path === `${settings.hubPrefix}gate/pass`) return takeTicket(proxy, req, res, settings, host);
    // Where to a host's name leads can be seen there.
    if (path === `${settings.hubPrefix}identity`) return true;
  }
  if (own === "" || !req.url.startsWith("/") || !isNavigation(req, isUpgrade)) {
    return refuse(proxy, req, res, 403, "What is asked for here has another host name.");
  }
  if (own === null) return redirect(proxy, req, res, originOf(settings, hub) + req.url, []);
  const { url, token } = withoutToken(req.url);
  return redirect(proxy, req, res, originOf(settings, own) + url, host === hub ? tokenCookie(req, settings, token) : []);
}

// Returns the cookie in which the token of an address gets to the hub, in a list of one, or none. It says whether a page of XNAT's
// led here: others may lead to a server of theirs, with a token of theirs.
export function tokenCookie(req, settings, token) {
  if (!settings.ownHost || !/^[\w.~-]{1,512}$/.test(token ?? "")) return [];
  const from = settings.xnatOrigin && URL.parse(req.headers.referer ?? "")?.origin === settings.xnatOrigin ? "xnat:" : "";
  const { name, tail } = hostCookie(settings, "xnathub-token", `${settings.hubPrefix}gate`);
  return [`${name}=${from}${token}; Max-Age=60; ${tail}`];
}

// Sends a browser from a user's host to the hub's, for a pass.
export function askHub(proxy, req, res, settings, url) {
  const state = stateOf(req, settings) ?? randomBytes(32).toString("base64url");
  const target = `${settings.hubPrefix}gate`;
  const location = `${originOf(settings, settings.hosts.hub)}${target}?next=${encodeURIComponent(url)}&state=${markOf(state)}`;
  return redirect(proxy, req, res, location, [stateCookie(settings, state, STATE_SECONDS)]);
}

function takeTicket(proxy, req, res, settings, host) {
  const query = new URL(req.url, "http://example.com").searchParams;
  const next = query.get("next") ?? "";
  const state = stateOf(req, settings);
  const pass = state && passIn(settings.key, query.get("ticket") ?? "", `${markOf(state)}:${host}`);
  if (!pass || !next.startsWith(`${settings.baseUrl}user/`) || !/^[\x21-\x7e]+$/.test(next)) {
    return refuse(proxy, req, res, 403, "This link has ended, or it is for another browser. Open the server from XNAT again.");
  }
  return redirect(proxy, req, res, next, [...setPass(settings, pass), stateCookie(settings, "", 0)]);
}

// Returns the pass that a ticket is worth, {newCookie, pass}, or null. By itself a ticket is no pass: it may be in a browser's history.
function passIn(key, ticket, holder) {
  const [body, until, signature, ...more] = ticket.split(".");
  if (!body || !signature || more.length || !(Number(until) > Date.now() / 1000)) return null;
  const wanted = sign(key, `ticket:${holder}:${until}:${body}`);
  const given = Buffer.from(signature, "base64url");
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null;
  return sealed(key, body);
}

function stateOf(req, settings) {
  const wanted = hostCookie(settings, STATE_COOKIE, "").name;
  const found = jarOf(req.headers.cookie).pairs.find(([name]) => name === wanted)?.[1];
  return /^[\w-]{43}$/.test(found ?? "") ? found : undefined;
}

function stateCookie(settings, state, age) {
  const { name, tail } = hostCookie(settings, STATE_COOKIE, settings.baseUrl);
  return `${name}=${state}; Max-Age=${age}; ${tail}`;
}

function markOf(state) {
  return createHash("sha256").update(state).digest("hex");
}

function originOf({ hosts }, host) {
  return `${hosts.scheme}//${host}${hosts.port ? `:${hosts.port}` : ""}`;
}

function hostOf(req) {
  return (req.headers.host ?? "").toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
}
