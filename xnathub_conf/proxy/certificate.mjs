// Takes a renewed certificate while the proxy runs: connections that are open stay as they are, new ones get the new one.
import fs from "node:fs";
import tls from "node:tls";

const LOOK = 10_000; // ms
const SETTLE = 1_000; // ms, so that the second of the two files has come as well

// Watches the files that the proxy's command line names, where it names both.
export function watchCertificate(proxy, args = process.argv.slice(2)) {
  const files = { cert: option(args, "--ssl-cert"), key: option(args, "--ssl-key") };
  if (!files.cert || !files.key || !proxy.options.ssl) return;
  // A copy: the proxy library takes key, certificate and ciphers out of the original with the first request.
  const current = { ...proxy.options.ssl };
  let timer = null;
  const renew = () => {
    try {
      const pair = { cert: fs.readFileSync(files.cert), key: fs.readFileSync(files.key) };
      if (pair.cert.equals(current.cert) && pair.key.equals(current.key)) return;
      tls.createSecureContext({ ...current, ...pair }); // raises where the key is another certificate's
      proxy.proxyServer.setSecureContext(Object.assign(current, pair));
      proxy.log.info("The certificate in %s is taken", files.cert);
    } catch (error) {
      proxy.log.warn("The certificate in %s can't be used, and the old one stays: %s", files.cert, error.message);
    }
  };
  for (const file of Object.values(files)) {
    fs.watchFile(file, { interval: LOOK, persistent: false }, () => {
      clearTimeout(timer);
      timer = setTimeout(renew, SETTLE).unref();
    });
  }
}

function option(args, name) {
  const at = args.findIndex((word) => word === name || word.startsWith(`${name}=`));
  if (at < 0) return undefined;
  return args[at] === name ? args[at + 1] : args[at].slice(name.length + 1);
}
