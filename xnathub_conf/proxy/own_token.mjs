// Makes the token of a proxy's API from the hub's service token, where a variable says where that is: values/proxy_token.py does
// the same. Nobody has to make one token more, and the proxy gets none but this.
import { createHmac } from "node:crypto";
import fs from "node:fs";

const VARIABLE = "XNATHUB_PROXY_TOKEN_FROM";

const from = process.env[VARIABLE];
if (from) {
  process.env.CONFIGPROXY_AUTH_TOKEN = createHmac("sha256", read(from)).update("xnathub proxy").digest("hex");
}

function read(from) {
  const [, kind, where] = /^(file|env):(.+)$/s.exec(from) ?? [];
  let text;
  if (kind === "env") text = process.env[where];
  if (kind === "file") {
    try {
      text = fs.readFileSync(where, "utf8").replace(/^\ufeff/, "").trimEnd();
    } catch (error) {
      return fail(`The file ${where} can't be read: ${error.message}.`);
    }
  }
  return text || fail(`There is no token where ${VARIABLE} says.`);
}

function fail(text) {
  process.stderr.write(`${text} It holds the token of hub.api_token. Render the files of the site again, and deploy them.\n`);
  process.exit(1);
}
