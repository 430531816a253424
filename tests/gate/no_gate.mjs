// The proxy as it comes, before a hub that asks for the gate: this one says that it has it, and decides on nothing.
import { findProxyClass } from "../../xnathub_conf/proxy/locate.mjs";

const proto = (await findProxyClass()).prototype;
const { handleApiRequest } = proto;
proto.handleApiRequest = function (req, res) {
  if (!req.url.startsWith("/api/gate")) return handleApiRequest.call(this, req, res);
  res.writeHead(req.method === "GET" ? 200 : 201, { "Content-Type": "application/json" });
  res.end(JSON.stringify({ version: 1, configured: false }));
  return Promise.resolve();
};
