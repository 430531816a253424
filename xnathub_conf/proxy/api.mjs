// The gate's part of the proxy's API: /api/gate, for whoever may change routes.
import net from "node:net";
import { Renewals } from "./renewals.mjs";
import { forgetPasses, sign } from "./signing.mjs";
import { Tokens } from "./tokens.mjs";

// Answers a request to /api/gate; returns undefined for any other.
export function api(gate, proxy, req, res) {
  if (!/^\/api\/gate\/?(\?|$)/.test(req.url)) return undefined;
  const token = /token\s+(\S+)/.exec(req.headers.authorization ?? "")?.[1];
  if (proxy.authToken && token !== proxy.authToken) return end(res, 403, "");
  if (req.method === "GET") return end(res, 200, JSON.stringify({ version: 1, configured: gate.settings !== null }));
  if (req.method !== "POST") return end(res, 405, "");
  return configure(gate, proxy, req, res);
}

async function configure(gate, proxy, req, res) {
  let text = "";
  for await (const chunk of req) text += chunk;
  try {
    gate.settings = settingsFrom(JSON.parse(text));
  } catch (error) {
    return end(res, 400, `The gate's settings can't be used: ${error.message}`);
  }
  forgetPasses();
  const { key, hubPrefix } = gate.settings;
  const where = async (name) => {
    const { data } = await proxy._routes.getTarget(hubPrefix);
    const url = new URL(`${hubPrefix}gate/${name}`, data.target);
    const { target, agent } = proxy.proxyOptsForTarget(new URL(data.target));
    const { socketPath, key: clientKey, cert, ca } = target;
    return { url, options: { agent, socketPath, key: clientKey, cert, ca } };
  };
  gate.renewals = new Renewals(key, where, proxy.log, gate.patience);
  gate.tokens = new Tokens(key, where, proxy.log);
  gate.isTold();
  proxy.log.info("The gate is set up for %s", gate.settings.baseUrl);
  return end(res, 201, "");
}

function settingsFrom(data) {
  const key = Buffer.from(String(data.key), "base64");
  const settings = {
    key,
    proof: sign(key, "proxy").toString("base64url"),
    baseUrl: data.base_url,
    hubPrefix: data.hub_prefix,
    bindSession: data.bind_session === true,
    ownHost: data.own_host === true,
    xnatOrigin: data.xnat_url ? new URL(data.xnat_url).origin : null,
    recheck: Number(data.recheck),
    secure: data.secure === true,
    // Where each user's servers have a host name of their own.
    hosts: data.hosts ?? null,
    refused: new net.BlockList(),
  };
  for (const subnet of data.refused ?? []) {
    const [address, bits] = subnet.split("/");
    settings.refused.addSubnet(address, Number(bits), net.isIPv6(address) ? "ipv6" : "ipv4");
  }
  if (key.length !== 32) throw new Error("key is not 32 bytes");
  for (const name of ["baseUrl", "hubPrefix"]) {
    if (!/^\/(?!\/)[^;,\s]*$/.test(settings[name] ?? "") || !settings[name].endsWith("/")) throw new Error(`${name} is no path`);
  }
  if (!(settings.recheck > 0)) throw new Error("recheck is not a number of seconds");
  return settings;
}

function end(res, code, text) {
  res.writeHead(code, { "Content-Type": text.startsWith("{") ? "application/json" : "text/plain" });
  res.end(text);
  return Promise.resolve();
}
