// Starts the server that `next build` made, with logs, /health, the backend and an orderly stop before it.
import { createRequire } from "node:module";
import { answered, http, version } from "./answers.mjs";
import { die, log } from "./log.mjs";
import { fromPeers } from "./peers.mjs";
import { proxied } from "./proxy.mjs";
import { attend } from "./server.mjs";

const require = createRequire(new URL("../server.js", import.meta.url));
const { createServer } = http;

/** What was made anew does not go back to what the build made, once memory has no more room for it. */
function keepWhatIsNew(started = Date.now(), outdated = new Map()) {
  try {
    const { default: Cache } = require("next/dist/server/lib/incremental-cache/file-system-cache");
    class FetchCache extends Cache {
      async get(key, ...given) {
        const found = await super.get(key, ...given);
        if (!(found?.lastModified < started)) return found;
        return outdated.get(key) ? null : outdated.set(key, false) && found;
      }
      set(key, ...given) {
        if (outdated.has(key)) outdated.set(key, true);
        return super.set(key, ...given);
      }
    }
    globalThis[Symbol.for("@next/cache-handlers")] = { FetchCache };
  } catch {} // One that is made otherwise keeps its own.
}

/** Next.js listens before it runs instrumentation.ts, and serves errors for ever where that fails. */
function prepared(resolve) {
  try {
    const { prototype } = require("next/dist/server/next-server").default;
    const { prepare } = prototype;
    prototype.prepare = function (...given) {
      const preparing = prepare.apply(this, given);
      resolve(preparing);
      return preparing;
    };
  } catch {
    resolve(); // One that is made otherwise is prepared once it listens.
  }
}

http.createServer = (next) => {
  // The first server is Next.js's; what the application opens besides is its own.
  http.createServer = createServer;
  // Other upgrades are offers: who speaks HTTP/2 besides has a request to be answered.
  const shouldUpgradeCallback = ({ headers, method }) => /^GETwebsocket$/i.test(method + headers.upgrade);
  const all = (...both) => answered(...both, ready) || proxied(...both) || fromPeers(...both, next);
  const server = createServer({ shouldUpgradeCallback }, all);
  const ready = new Promise((resolve) => server.once("listening", () => prepared(resolve)));
  server.once("listening", () => keepWhatIsNew());
  ready.then(() => log("info", `listening on port ${server.address().port}, version ${version}`), die);
  // Next.js takes whatever is to be upgraded for its own.
  const { emit } = server;
  server.emit = (event, ...values) =>
    (event === "upgrade" && proxied(values[0], undefined, values[2])) || emit.call(server, event, ...values);
  return attend(server);
};
require("./server.js");
