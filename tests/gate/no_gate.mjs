// The proxy as it comes, before a hub that asks for the gate: this one says that it has it, vouches for all, and decides on nothing.
import { findProxyClass } from "../../xnathub_conf/proxy/locate.mjs";
import { sign } from "../../xnathub_conf/proxy/signing.mjs";

const proto = (await findProxyClass()).prototype;
const { handleApiRequest, handleProxy } = proto;
let proof;

proto.handleApiRequest = async function (req, res) {
  if (!req.url.startsWith("/api/gate")) return handleApiRequest.call(this, req, res);
  if (req.method === "POST") {
    let text = "";
    for await (const chunk of req) text += chunk;
    proof = sign(Buffer.from(JSON.parse(text).key, "base64"), "proxy").toString("base64url");
  }
  res.writeHead(req.method === "GET" ? 200 : 201, { "Content-Type": "application/json" });
  res.end(JSON.stringify({ version: 1, configured: false }));
};

proto.handleProxy = function (kind, req, ...more) {
  if (proof) req.headers["x-xnathub-proxy"] = proof;
  return handleProxy.call(this, kind, req, ...more);
};
