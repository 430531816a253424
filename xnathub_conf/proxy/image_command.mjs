#!/usr/bin/env node
// What the hub's image calls configurable-http-proxy: the real one, with what belongs into it, for charts that start it by its name.
import { IMAGE_COMMAND } from "./locate.mjs";

await import("./gate.mjs");
await import(IMAGE_COMMAND);
