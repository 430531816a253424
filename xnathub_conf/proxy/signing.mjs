// The cookie that says whose browser this is: {"u": user, "e": epoch, "s": session, "t": checked, "x": expires, "b": 1 where s is u's own, "f": {"owner/server": until}, "o": [the only servers of u that it opens]}.
import { createHmac, timingSafeEqual } from "node:crypto";

const GATE_COOKIE = "xnathub-gate";

// Returns the name and the attributes with which a browser takes a cookie from this host alone, where it has TLS: a page of another
// host below the same domain could plant one of any other name.
export function hostCookie(settings, name, path) {
  const tail = "HttpOnly; SameSite=Lax";
  return settings.secure ? { name: `__Host-${name}`, tail: `Path=/; ${tail}; Secure` } : { name, tail: `Path=${path}; ${tail}` };
}

// Returns the name of the cookie that holds a pass.
export function gateCookie(settings) {
  return hostCookie(settings, GATE_COOKIE, "").name;
}

// Returns the HMAC-SHA256 of a text.
export function sign(key, text) {
  return createHmac("sha256", key).update(text).digest();
}

const read = new Map();
const marks = new Map();

// Returns what a map holds for a text, made once: a page asks for hundreds of things with the same cookies. What comes to nothing is not
// kept: anybody can make that up.
function once(map, text, make) {
  if (text.length > 2000) return make();
  let value = map.get(text);
  if (value === undefined && (value = make()) !== null) {
    if (map.size > 20_000) map.clear();
    map.set(text, value);
  }
  return value;
}

// Forgets what was read by an earlier key.
export function forgetPasses() {
  read.clear();
  marks.clear();
}

// Returns 16 hex digits that stand for a session of XNAT, and nothing for none.
export function sessionMark(key, session) {
  return session ? once(marks, session, () => sign(key, `session:${session}`).toString("hex").slice(0, 16)) : "";
}

// Returns what a cookie says, or null where the hub did not sign it or its time is over.
export function readPass(key, cookie, now) {
  const pass = once(read, cookie, () => signed(key, cookie));
  return pass?.x > now ? pass : null;
}

function signed(key, cookie) {
  const [body, signature, ...more] = cookie.split(".");
  if (!body || !signature || more.length) return null;
  const wanted = sign(key, `${GATE_COOKIE}:${body}`);
  const given = Buffer.from(signature, "base64url");
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null;
  try {
    return JSON.parse(Buffer.from(body, "base64url").toString());
  } catch {
    return null;
  }
}

// Returns what a pass's text says, and the cookie that it is with a signature: {pass, newCookie}.
export function sealed(key, body) {
  const newCookie = `${body}.${sign(key, `${GATE_COOKIE}:${body}`).toString("base64url")}`;
  return { pass: readPass(key, newCookie, Date.now() / 1000), newCookie };
}

// Returns the Set-Cookie header with a pass that a browser hasn't yet, in a list of one, or none.
export function setPass(settings, { newCookie, pass }) {
  if (!newCookie || !pass) return [];
  const age = Math.max(1, Math.floor(pass.x - Date.now() / 1000));
  const { name, tail } = hostCookie(settings, GATE_COOKIE, `${settings.baseUrl}user/`);
  return [`${name}=${newCookie}; Max-Age=${age}; ${tail}`];
}

// Returns whether a pass opens a route, and whether it does so by a grant rather than because the server is its user's own.
export function opens(pass, route, now) {
  if (pass.u === route.user) {
    const one = !pass.o || pass.o.includes(route.server_name ?? "");
    return { yes: Boolean(route.gate) && pass.e === route.gate && one, foreign: false };
  }
  const server = `${route.user}/${route.server_name ?? ""}`;
  const until = pass.f && Object.hasOwn(pass.f, server) ? pass.f[server] : 0;
  return { yes: until > now, foreign: true };
}
