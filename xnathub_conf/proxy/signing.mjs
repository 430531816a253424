// The cookie that says whose browser this is: {"u": user, "e": epoch, "s": session, "t": checked, "x": expires, "f": {owner: until}}.
import { createHmac, timingSafeEqual } from "node:crypto";

export const GATE_COOKIE = "xnathub-gate";

// Returns the HMAC-SHA256 of a text.
export function sign(key, text) {
  return createHmac("sha256", key).update(text).digest();
}

// Returns 16 hex digits that stand for a session of XNAT, and nothing for none.
export function sessionMark(key, session) {
  return session ? sign(key, `session:${session}`).toString("hex").slice(0, 16) : "";
}

// Returns what a cookie says, or null where the hub did not sign it or its time is over.
export function readPass(key, cookie, now) {
  const [body, signature, ...more] = cookie.split(".");
  if (!body || !signature || more.length) return null;
  const wanted = sign(key, `${GATE_COOKIE}:${body}`);
  const given = Buffer.from(signature, "base64url");
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return null;
  try {
    const pass = JSON.parse(Buffer.from(body, "base64url").toString());
    return pass.x > now ? pass : null;
  } catch {
    return null;
  }
}

// Returns whether a pass opens a route, and whether it does so by a grant rather than because the server is its user's own.
export function opens(pass, route, now) {
  if (pass.u === route.user) return { yes: Boolean(route.gate) && pass.e === route.gate, foreign: false };
  const until = pass.f && Object.hasOwn(pass.f, route.user) ? pass.f[route.user] : 0;
  return { yes: until > now, foreign: true };
}
