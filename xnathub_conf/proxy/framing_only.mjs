// For a proxy that no hub of ours sets up: bodies stay bodies, and who may pass is the affair of whoever runs it.
import { guardFraming } from "./framing.mjs";
import { findProxyClass } from "./locate.mjs";

guardFraming(await findProxyClass());
