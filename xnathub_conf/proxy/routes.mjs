// The routes of configurable-http-proxy are kept in plain objects, where `constructor` and `__proto__` stand for something already:
// people may be called so.

// Makes a store of routes take any name for a name.
export function anyName({ urls }) {
  if (!urls?.branches) return;
  Object.setPrototypeOf(urls.branches, null);
  Object.defineProperty(Object.getPrototypeOf(urls), "branches", {
    configurable: true,
    set(branches) {
      Object.defineProperty(this, "branches", { value: Object.setPrototypeOf(branches, null), writable: true });
    },
  });
}
