// The gate: `node --import gate.mjs configurable-http-proxy ...` makes the hub's proxy decide on every request to a user's
// server, so that no server sees a cookie that is not its own, and no browser a server that is not its user's.
import { guard } from "./guard.mjs";
import { findProxyClass } from "./locate.mjs";

guard(await findProxyClass());
