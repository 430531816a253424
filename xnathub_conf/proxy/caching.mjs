// Whose cache may keep what a user's server answers: the browser's alone. A cache in front would give it to everybody.

const SHARED = /^(public|private(=.*)?|s-maxage=.*|proxy-revalidate)$/i;

// Makes the headers of an answer say that no shared cache keeps it.
export function keepPrivate(headers) {
  const rules = (headers["cache-control"] ?? "").split(",").map((each) => each.trim());
  headers["cache-control"] = ["private", ...rules.filter((each) => each && !SHARED.test(each))].join(", ");
}
