// A server gets its own cookies only: they are stored in the browser under names that begin with the mark of its route.
import { createHash } from "node:crypto";

// Names that no server may set for the scripts of its pages, since XNAT, the hub or this proxy reads them.
const RESERVED = /^(jsessionid|jupyterhub-|xnathub-|xh-|__host-|__secure-)/i;
// What HTTP has for a name. A browser stores a cookie whose name has another byte before `__Host-` for any host's page, and programs
// that take that byte for a blank would read the name that no other host can set.
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const KEPT = /^(expires|max-age|samesite|secure|httponly|partitioned)$/i;

const marks = new Map();

// Returns what the names of a route's cookies begin with.
export function markOf(prefix) {
  let mark = marks.get(prefix);
  if (!mark) {
    mark = `xh-${createHash("sha256").update(prefix).digest("hex").slice(0, 8)}-`;
    if (marks.size > 50_000) marks.clear();
    marks.set(prefix, mark);
  }
  return mark;
}

// A jar takes many times the memory of its header.
const MOST_KEPT = 50;

const jars = new Map();

// Returns {pairs}: the name and value of every cookie of a Cookie header, read once, since a page sends hundreds of requests with the
// same. What else is found in it may be kept with it.
export function jarOf(header = "") {
  let jar = jars.get(header);
  if (!jar) {
    jar = { pairs: [] };
    for (const piece of header.split(";")) {
      const at = piece.indexOf("=");
      if (at > 0) jar.pairs.push([trim(piece.slice(0, at)), trim(piece.slice(at + 1))]);
    }
    if (jars.size >= 2_000) jars.clear();
    if (header.length <= 4_096 && jar.pairs.length <= MOST_KEPT) jars.set(header, jar);
  }
  return jar;
}

// Returns a text without the blanks and tabs around it, which HTTP has no others of. A pattern would look at a long run of them
// within the text again and again.
function trim(text) {
  let [from, to] = [0, text.length];
  while (from < to && isBlank(text, from)) from += 1;
  while (to > from && isBlank(text, to - 1)) to -= 1;
  return text.slice(from, to);
}

function isBlank(text, at) {
  return text[at] === " " || text[at] === "\t";
}

// Takes out of a request what another program than this one may read as a cookie of another name.
export function dropOddCookies(headers) {
  if (headers.cookie === undefined || jarOf(headers.cookie).pairs.every(([name]) => NAME.test(name))) return;
  const sound = headers.cookie.split(";").filter((piece) => !piece.includes("=") || NAME.test(trim(piece.split("=", 1)[0])));
  if (sound.length) headers.cookie = sound.join(";");
  else delete headers.cookie;
}

// Leaves a route's own cookies in the headers of a request, under the names that its server knows.
export function confineRequest(headers, prefix) {
  if (headers.cookie2 !== undefined) delete headers.cookie2;
  if (headers.cookie === undefined) return;
  const mark = markOf(prefix);
  const own = [];
  for (const [name, value] of jarOf(headers.cookie).pairs) {
    if (name.length > mark.length && name.startsWith(mark)) own.push(`${name.slice(mark.length)}=${value}`);
  }
  if (own.length) headers.cookie = own.join("; ");
  else delete headers.cookie;
}

// Returns the Set-Cookie headers for a browser, in place of those of a route's server.
export function confineResponse(setCookies, prefix, path, secure) {
  return setCookies.flatMap((header) => confined(header, markOf(prefix), path, secure));
}

function confined(header, mark, path, secure) {
  const [pair, ...rest] = header.split(";");
  const at = pair.indexOf("=");
  const name = pair.slice(0, at).trim();
  if (at < 1 || !name) return [];
  const value = pair.slice(at + 1).trim();
  const kept = rest.map((each) => each.trim()).filter((each) => KEPT.test(each.split("=")[0].trim()));
  const has = (attribute) => kept.some((each) => each.toLowerCase() === attribute);
  if (secure && !has("secure")) kept.push("Secure");
  const tail = ["", `Path=${path}`, ...kept].join("; ");
  const own = `${mark}${name}=${value}${tail}`;
  // Scripts of the server's pages look for the name that they know, such as _xsrf. It never goes back to a server.
  return has("httponly") || RESERVED.test(name) ? [own] : [own, `${name}=${value}${tail}`];
}

// Returns the Path for the cookies of a route, spelled as the browser spells it, since browsers compare letter for letter.
export function cookiePath(prefix, rawPath) {
  const depth = prefix.split("/").length;
  const raw = rawPath.split("/").slice(0, depth).join("/");
  try {
    if (decodeURIComponent(raw) === prefix && !/[;,\s]/.test(raw)) return `${raw}/`;
  } catch {
    // The spelling is at fault; the usual one is taken.
  }
  return `${prefix.split("/").map(encodeURIComponent).join("/").replaceAll("%40", "@").replaceAll("'", "%27")}/`;
}
