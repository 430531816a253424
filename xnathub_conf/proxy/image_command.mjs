#!/usr/bin/env node
// What the hub's image calls configurable-http-proxy: the real one, with what belongs into it, for stacks and charts that start it
// by its name.
import { createRequire } from "node:module";

import { IMAGE_COMMAND } from "./locate.mjs";

if (process.env.XNATHUB_LOG_FORMAT === "json") createRequire(import.meta.url)("../hub/json_lines.cjs");
await import("./own_token.mjs");
await import("./gate.mjs");
await import(IMAGE_COMMAND);
