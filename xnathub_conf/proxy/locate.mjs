import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

// Where the hub's image has the proxy itself.
export const IMAGE_COMMAND = "/opt/proxy/node_modules/configurable-http-proxy/bin/configurable-http-proxy";

// Returns the class of the configurable-http-proxy that this process runs: that very class is changed.
export async function findProxyClass() {
  const { ConfigurableProxy } = await import(pathToFileURL(moduleOf(process.argv[1])).href);
  return ConfigurableProxy;
}

function moduleOf(command) {
  for (const each of [fs.realpathSync(command), IMAGE_COMMAND]) {
    const beside = path.join(path.dirname(each), "../lib/configproxy.js");
    if (fs.existsSync(beside)) return beside;
  }
  throw new Error(`${command} is no configurable-http-proxy of version 5`);
}
