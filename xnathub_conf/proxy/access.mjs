// Who may pass: a decision for each request to a user's server, made on the route that the proxy itself found.
import { jarOf } from "./cookies.mjs";
import { gateCookie, opens, readPass, sessionMark } from "./signing.mjs";

// For how long a request waits for the hub's word on a pass that was good a moment ago. The word counts once it is there.
const PATIENCE = 1_000; // ms
// The same for a pass that was made for another session of XNAT, which opens nothing until then.
const PATIENCE_OF_ANOTHER = 5_000; // ms
const TOKEN = /^(token|bearer)\s+\S/i;

// Returns whether a person looks at the answer as a page: then the hub may ask who it is.
export function isNavigation(req, isUpgrade) {
  if (isUpgrade || !["GET", "HEAD"].includes(req.method)) return false;
  const { headers } = req;
  if (/prefetch|prerender/i.test(`${headers["sec-purpose"]} ${headers.purpose} ${headers["x-moz"]}`)) return false;
  const mode = headers["sec-fetch-mode"];
  return mode === undefined ? /\btext\/html\b/i.test(headers.accept ?? "") : mode === "navigate";
}

// Returns whether a program sends this with a token, which the server checks itself; browsers always send more.
export function isProgram(req) {
  const { headers } = req;
  if (headers.authorization === undefined || headers.cookie !== undefined || !TOKEN.test(headers.authorization)) return false;
  return !Object.keys(headers).some((name) => name.startsWith("sec-fetch-"));
}

// Takes out of a request what is meant for others than a user's server.
export function dropCredentials(headers) {
  if (headers.authorization !== undefined && !TOKEN.test(headers.authorization)) delete headers.authorization;
  if (headers["proxy-authorization"] !== undefined) delete headers["proxy-authorization"];
}

// Returns the session of XNAT in a Cookie header, without the quotes that XNAT leaves out too, or null; of different ones all, since a
// page of another host below the same domain can add one of its own, and XNAT may take any of them.
function xnatSession(jar) {
  if (jar.session === undefined) {
    const sessions = jar.pairs.filter(([name]) => name === "JSESSIONID").map(([, value]) => value.replace(/^"(.*)"$/, "$1"));
    jar.session = [...new Set(sessions.filter(Boolean))].join("; ") || null;
  }
  return jar.session;
}

// Returns the passes in a Cookie header, the first four of different ones.
function passesIn(jar, settings) {
  if (jar.passesFor !== settings) {
    const wanted = gateCookie(settings);
    jar.passes = [...new Set(jar.pairs.filter(([name]) => name === wanted).map(([, value]) => value))].slice(0, 4);
    jar.passesFor = settings;
  }
  return jar.passes;
}

// Returns {pass, cookie, session, newCookie} for a browser that may pass now, {unsure: true} where only the hub could say
// and is away, or null.
export async function admit(settings, renewals, cookieHeader, route) {
  const jar = jarOf(cookieHeader);
  const session = settings.bindSession ? xnatSession(jar) : null;
  let unsure = null;
  for (const cookie of passesIn(jar, settings)) {
    const found = await check(settings, renewals, { cookie, session }, route);
    if (found?.pass) return found;
    unsure ??= found;
  }
  return unsure;
}

// Returns as admit does, for one cookie and session.
export async function check(settings, renewals, { cookie, session }, route) {
  const now = Date.now() / 1000;
  const pass = readPass(settings.key, cookie, now);
  if (!pass) return null;
  const access = opens(pass, route, now);
  if (!access.yes) return null;
  const same = pass.s === sessionMark(settings.key, session);
  const age = now - pass.t;
  if (same && age < (access.foreign ? Math.min(10, settings.recheck) : settings.recheck)) return { pass, cookie, session };
  const answer = await renewals.renew(cookie, session, same ? PATIENCE : PATIENCE_OF_ANOTHER);
  if (answer.refused) return null;
  if (answer.away) return same ? { pass, cookie, session } : { unsure: true };
  const fresh = readPass(settings.key, answer.cookie, now);
  if (!fresh || !opens(fresh, route, now).yes) return null;
  return { pass: fresh, cookie: answer.cookie, session, newCookie: answer.cookie };
}
