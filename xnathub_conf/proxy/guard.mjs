// Puts the gate into configurable-http-proxy's class.
import net from "node:net";
import { admit, check, dropCredentials, isNavigation, isProgram } from "./access.mjs";
import { api } from "./api.mjs";
import { watchCertificate } from "./certificate.mjs";
import { keepPrivate } from "./caching.mjs";
import { confineRequest, confineResponse, cookiePath, dropOddCookies } from "./cookies.mjs";
import { HEADERS, redirect, refuse, withoutToken } from "./answers.mjs";
import { guardFraming } from "./framing.mjs";
import { cameTooLate, endHalves } from "./halves.mjs";
import { Patience } from "./patience.mjs";
import { anyName } from "./routes.mjs";
import { setPass } from "./signing.mjs";
import { Streams } from "./streams.mjs";
import { askHub, atItsPlace, tokenCookie } from "./subdomains.mjs";
import { isLarge } from "./tokens.mjs";

const GUARDED = Symbol.for("xnathub gate");
const ROUTE = Symbol("route");
const CONFINED = Symbol("confined");
const MOST_BYTES = 2 ** 20; // of a body that goes to the hub
const [MOST_PIECES, LEAST_OF_A_PIECE] = [256, 64]; // pieces, and bytes of one on average
const SCATTERED = "The hub takes no body in so many small pieces.";
const TOO_LARGE = "The hub takes nothing as large as this.";
const BODY_TIMEOUT = 30_000; // ms
const RECHECK_STREAMS = 2_000; // ms
const TOLD_WITHIN = 8_000; // ms
// An address whose path means itself: no dots, slashes or percent signs to be resolved.
const PLAIN = /^((?:\/[\w~@-][\w.~@-]*)+\/?)(?:\?|$)/;
// What http-proxy would resolve: a path of the hub that leads to another one than it says, such as `servers/..`. Browsers send none.
const LEADS_ELSEWHERE = /^[^?]*(?:[\\#]|\/(?:\.|%2e){1,2}(?:[/?]|$))/i;
// What these say would hold for XNAT's and the hub's pages too.
const NOT_ITS_OWN = new Set([
  "service-worker-allowed", "clear-site-data", "strict-transport-security", "alt-svc", "nel", "report-to",
  "reporting-endpoints", "set-cookie2", "public-key-pins", "origin-agent-cluster", "accept-ch", "critical-ch", "expect-ct",
  "use-as-dictionary", "set-login", "shared-storage-write", "observe-browsing-topics", "surrogate-control", "cdn-cache-control",
]); // prettier-ignore
// A web server in front would deliver another address or a file of its own in place of the answer, or empty its cache; a browser
// would tie the whole host name to a key, or note what an advertiser asks.
const NOT_ITS_OWN_EITHER =
  /^(x-(accel-(?!buffering$)|sendfile|lighttpd-|litespeed-|reproxy-)|(sec|secure)-session-|attribution-reporting-|ad-auction-)/;

// Makes every proxy of a class a gate, once.
export function guard(ConfigurableProxy) {
  const proto = ConfigurableProxy.prototype;
  if (proto[GUARDED]) return;
  for (const name of ["handleProxy", "targetForReq", "handleApiRequest", "handleProxyError", "handleHealthCheck", "addRoute"]) {
    if (typeof proto[name] !== "function") throw new Error(`The gate does not know this configurable-http-proxy: no ${name}`);
  }
  const original = Object.fromEntries(Object.getOwnPropertyNames(proto).map((name) => [name, proto[name]]));
  proto[GUARDED] = true;

  proto.handleHealthCheck = function (req, res) {
    if (req.url === "/_chp_healthz") for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
    return original.handleHealthCheck.call(this, req, res);
  };

  proto.targetForReq = async function (req) {
    return req[ROUTE] ?? findRoute(this, req);
  };

  proto.handleApiRequest = function (req, res) {
    return api(gateOf(this), this, req, res) ?? original.handleApiRequest.call(this, req, res);
  };

  proto.addRoute = async function (path, data) {
    const prefix = this._routes.cleanPath(path);
    await original.addRoute.call(this, path, data);
    gateOf(this).streams.endOld(prefix, data);
  };

  proto.handleProxyError = function (code, kind, req, res, error) {
    const { patience } = gateOf(this);
    if (code === 503 && kind === "web" && patience.mayRepeat(req, res, error)) {
      patience.again(req, res).then((back) => (back ? original.handleProxy.call(this, kind, req, res) : hubIsAway(this, req, res)));
      return undefined;
    }
    // The page for an error is asked for with the address, which goes into logs.
    req.url = withoutToken(req.url).url;
    if (cameTooLate(res)) return this.log.error("%s %s: %s", req.method, req.url, error?.message);
    if (res.setHeader && !res.headersSent) for (const [name, value] of Object.entries(HEADERS)) res.setHeader(name, value);
    return original.handleProxyError.call(this, code, kind, req, res, error);
  };

  proto.handleProxy = async function (kind, req, res, head) {
    const isUpgrade = kind === "ws";
    for (const name in req.headers) if (name.startsWith("x-xnathub-")) delete req.headers[name];
    try {
      req[ROUTE] = await findRoute(this, req);
    } catch {
      return refuse(this, req, res, 400, "This address can't be read.");
    }
    const route = req[ROUTE];
    const { settings } = gateOf(this);
    if (isRefused(settings, req, route, isUpgrade)) {
      return refuse(this, req, res, 403, "From the network of a server nothing but the hub's API is reached here.");
    }
    if (route && settings?.hosts && !atItsPlace(this, req, res, settings, { data: route.data, isHub: isHub(route) }, isUpgrade)) return;
    if (route && isHub(route) && !(await toTheHub(this, req, res, route, isUpgrade))) return;
    if (route && !isHub(route) && !(await pass(this, req, res, route, isUpgrade))) return;
    if (res.destroyed) return;
    return original.handleProxy.call(this, kind, req, res, ...(isUpgrade ? [head] : []));
  };
  guardFraming(ConfigurableProxy);
}

// Decides on a request to anything but the hub; returns whether it goes on, and answers it where not.
async function pass(proxy, req, res, route, isUpgrade) {
  const gate = gateOf(proxy);
  const { settings } = gate;
  const { data, prefix } = route;
  if (!req.url.startsWith("/") || /^\/[/\\]/.test(req.url)) {
    // An address with a host in it: its path counts, as HTTP has it. One that begins with two slashes means nothing here.
    const url = /^https?:\/\//i.test(req.url) ? new URL(req.url) : null;
    if (!url || /^\/[/\\]/.test(url.pathname)) return refuse(proxy, req, res, 400, "This address can't be read.");
    req.url = url.pathname + url.search;
  }
  const { url: address } = req;
  let admitted = null;
  let program = false;
  if (data.user !== undefined) {
    if (!settings) return refuse(proxy, req, res, 503, "The hub has not yet told its proxy whose browser may pass. Try again in a moment.");
    program = isProgram(req);
    if (program && isLarge(req)) {
      const known = await gate.tokens.knows(req.headers.authorization);
      if (known === null) return hubIsAway(proxy, req, res);
      if (!known) return refuse(proxy, req, res, 403, "The hub does not know this token, so nothing as large as this is taken with it.");
    }
    if (!program) {
      admitted = await admit(settings, gate.renewals, req.headers.cookie, data);
      if (admitted?.unsure) {
        return refuse(proxy, req, res, 503, "Your session of XNAT has changed, and the hub can't be asked now whose it is. Try again in a moment.");
      }
      const { url, token } = withoutToken(req.url);
      if (!admitted) {
        if (!isNavigation(req, isUpgrade)) return refuse(proxy, req, res, 403, "This browser is not signed in as the owner of this server.");
        return toHub(proxy, req, res, settings, url, token);
      }
      if (token !== null && isNavigation(req, isUpgrade)) return redirect(proxy, req, res, url, setPass(settings, admitted));
    }
  }
  confineRequest(req.headers, prefix);
  if (data.user !== undefined) dropCredentials(req.headers);
  req[CONFINED] = {
    prefix,
    user: data.user !== undefined,
    path: () => cookiePath(prefix, new URL(address, "http://example.com").pathname),
    secure: settings?.secure ?? false,
    mute: program,
    cookies: admitted ? setPass(settings, admitted) : [],
  };
  if ((admitted || program) && !res.destroyed) {
    const { gate: epoch, ended = 0 } = data;
    gate.streams.add(prefix, res, { epoch, ended, admitted, data, close: () => (isUpgrade ? res : req.socket).destroy() });
  }
  return true;
}

// Lets a request go on to the hub, which believes the gate alone what it says of the caller; returns whether it does.
async function toTheHub(proxy, req, res, route, isUpgrade) {
  const length = Number(req.headers["content-length"] ?? 0);
  if (length > MOST_BYTES) return refuse(proxy, req, res, 413, TOO_LARGE);
  if (length > 0 || req.headers["transfer-encoding"] !== undefined) boundBody(proxy, req, res);
  if (LEADS_ELSEWHERE.test(req.url)) {
    return refuse(proxy, req, res, 400, "The path of this address leads elsewhere: none of its parts may be . or .., and it may hold no \\ and no #.");
  }
  dropOddCookies(req.headers);
  const gate = gateOf(proxy);
  const { patience } = gate;
  // The hub's pages are for those alone whom the proxy vouches for: it has just started, and will soon be told how.
  if (!gate.settings) await gate.told;
  const { settings } = gate;
  if (settings) req.headers["x-xnathub-proxy"] = settings.proof;
  if (!isUpgrade && !(await patience.ready(req, res, route.target))) return hubIsAway(proxy, req, res);
  if (!isUpgrade && !req.complete) {
    const end = setTimeout(() => req.complete || req.socket.destroy(), BODY_TIMEOUT);
    req.once("close", () => clearTimeout(end));
  }
  return true;
}

// Ends a body that grows larger than the hub takes, or comes in so many small pieces that each takes far more than it brings.
function boundBody(proxy, req, res) {
  let bytes = req.readableLength;
  let pieces = 0;
  const { push } = req;
  req.push = function (chunk, encoding) {
    if (chunk === null) return push.call(this, chunk, encoding);
    bytes += chunk.length;
    pieces += 1;
    const scattered = pieces > MOST_PIECES && bytes < pieces * LEAST_OF_A_PIECE;
    if (bytes <= MOST_BYTES && !scattered) return push.call(this, chunk, encoding);
    if (res.headersSent) req.socket.destroy();
    else refuse(proxy, req, res, 413, scattered ? SCATTERED : TOO_LARGE);
    return false;
  };
}

// Whether a request comes from where users' servers are, and is none that a server makes of the hub.
function isRefused(settings, req, route, isUpgrade) {
  const from = req.socket.remoteAddress ?? "";
  if (!settings?.refused.check(from, net.isIPv6(from) ? "ipv6" : "ipv4")) return false;
  const api = `${settings.hubPrefix}api`;
  // As it is written and as it is read: dots may lead out of the folder.
  const paths = [req.url.split("?", 1)[0], new URL(req.url, "http://example.com").pathname];
  return isUpgrade || !route || !isHub(route) || !paths.every((path) => path === api || path.startsWith(`${api}/`));
}

function hubIsAway(proxy, req, res) {
  if (res.destroyed) return false;
  res.setHeader("Retry-After", "5");
  return refuse(proxy, req, res, 503, "The hub is away, most likely for a restart. Try again in a moment.");
}

function toHub(proxy, req, res, settings, url, token) {
  if (settings.hosts) return askHub(proxy, req, res, settings, url);
  const target = `${settings.hubPrefix}gate`;
  return redirect(proxy, req, res, `${target}?next=${encodeURIComponent(url)}`, tokenCookie(req, settings, token));
}

function isHub({ data, prefix }) {
  return prefix === "/" || data.hub === true;
}

// Returns the route that the proxy itself would take, with what it says beside its target.
async function findRoute(proxy, req) {
  const end = proxy.metrics.findTargetForReqSummary.startTimer();
  const host = proxy.hostRouting ? `/${req.headers.host?.split(":")[0]}` : "";
  const path = PLAIN.exec(req.url)?.[1] ?? decodeURIComponent(new URL(req.url, "http://example.com").pathname);
  const route = await proxy._routes.getTarget(host + path);
  end();
  return route && { prefix: route.prefix, target: route.data.target, data: route.data };
}

const gates = new WeakMap();

// Returns the gate of a proxy: what the hub told it, and what is open.
function gateOf(proxy) {
  let gate = gates.get(proxy);
  if (!gate) {
    gates.set(proxy, (gate = { settings: null, renewals: null, tokens: null, streams: new Streams(), patience: new Patience(proxy.log) }));
    // A hub that is none of ours never tells; its requests wait no more once that is clear.
    gate.told = new Promise((resolve) => {
      gate.isTold = resolve;
      setTimeout(resolve, TOLD_WITHIN).unref();
    });
    anyName(proxy._routes);
    if (proxy.proxy) {
      listen(proxy, gate);
      watchCertificate(proxy);
    }
    // Winston makes the whole line first, twice for each request, and then throws it away.
    if (proxy.log.isDebugEnabled?.() === false) proxy.log.debug = () => proxy.log;
  }
  return gate;
}

function listen(proxy, gate) {
  endHalves(proxy.proxy);
  proxy.proxy.on("proxyRes", (answer, req) => confineAnswer(answer, req));
  proxy.proxy.on("proxyReqWs", (out, req) => {
    out.on("upgrade", (answer) => confineAnswer(answer, req));
    out.on("response", (answer) => confineAnswer(answer, req));
  });
  const holds = async (prefix, { admitted, data }) => {
    const { settings, renewals } = gate;
    // A program's token is the server's to look at.
    if (!admitted) return true;
    const route = await proxy._routes.get(prefix);
    if (!settings || !route) return true;
    const found = await check(settings, renewals, admitted, route);
    // A pass that was renewed on the way is as good as the first.
    if (found?.pass) Object.assign(admitted, found);
    return found !== null || route.user !== data.user;
  };
  const look = () => gate.streams.recheck(holds).catch((error) => proxy.log.error("The gate's look at open connections: %s", error));
  setInterval(look, RECHECK_STREAMS).unref();
}

function confineAnswer(answer, req) {
  const confined = req[CONFINED];
  if (!confined) return;
  const { headers } = answer;
  for (const name in headers) if (NOT_ITS_OWN.has(name) || NOT_ITS_OWN_EITHER.test(name)) delete headers[name];
  if (confined.user) keepPrivate(headers);
  // What it names there, a web server in front might take out of the answer; how long connections live is the proxy's to say.
  delete headers["keep-alive"];
  if (answer.statusCode === 101) headers.connection = "Upgrade";
  else delete headers.connection;
  const set = headers["set-cookie"];
  const own = set && !confined.mute ? confineResponse(set, confined.prefix, confined.path(), confined.secure) : [];
  const all = [...confined.cookies, ...own];
  if (all.length) headers["set-cookie"] = all;
  else if (set) delete headers["set-cookie"];
}
