// What the gate asks the hub: a signed question at /hub/gate/..., by the hub's private way.
import http from "node:http";
import https from "node:https";
import { sign } from "./signing.mjs";

// Returns {status, text} of the hub's answer to a question of this name. `where` gives the address and options for a name,
// `timeout` is in ms.
export async function ask(key, where, name, question, timeout) {
  const body = JSON.stringify(question);
  const { url, options } = await where(name);
  const headers = {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(body),
    "X-Xnathub-Gate": sign(key, `${name}:${body}`).toString("base64url"),
  };
  const request = (url.protocol === "https:" ? https : http).request(url, { ...options, method: "POST", headers });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeout / 1000} s`)), timeout);
    const done = (act, value) => {
      clearTimeout(timer);
      act(value);
    };
    request.on("error", (error) => done(reject, error));
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => (text += chunk));
      response.on("error", (error) => done(reject, error));
      response.on("close", () => done(reject, new Error("half an answer")));
      response.on("end", () => done(resolve, { status: response.statusCode, text }));
    });
    request.end(body);
  });
}
