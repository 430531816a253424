import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

// Returns the class of the configurable-http-proxy that this process runs: that very class is changed.
export async function findProxyClass() {
  const { ConfigurableProxy } = await import(pathToFileURL(moduleOf(process.argv[1])).href);
  return ConfigurableProxy;
}

function moduleOf(command) {
  const beside = path.join(path.dirname(fs.realpathSync(command)), "../lib/configproxy.js");
  if (fs.existsSync(beside)) return beside;
  const description = createRequire(path.resolve(command)).resolve("configurable-http-proxy/package.json");
  return path.join(path.dirname(description), "lib/configproxy.js");
}
