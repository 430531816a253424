// The gate: `node --import gate.mjs configurable-http-proxy ...` makes the hub's proxy decide on every request to a user's
// server, so that no server sees a cookie that is not its own, and no browser a server that is not its user's.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { guard } from "./guard.mjs";

// The very module that the command will import, since its class is changed.
function moduleOf(command) {
  const beside = path.join(path.dirname(fs.realpathSync(command)), "../lib/configproxy.js");
  if (fs.existsSync(beside)) return beside;
  const package_ = createRequire(path.resolve(command)).resolve("configurable-http-proxy/package.json");
  return path.join(path.dirname(package_), "lib/configproxy.js");
}

const { ConfigurableProxy } = await import(pathToFileURL(moduleOf(process.argv[1])).href);
guard(ConfigurableProxy);
