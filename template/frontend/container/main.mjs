// Starts the server that `next build` made, with logs, /health, the backend and an orderly stop before it.
import { createRequire } from "node:module";
import { answered, http, version } from "./answers.mjs";
import { die, log } from "./log.mjs";
import { fromPeers, proxied } from "./proxy.mjs";

const require = createRequire(new URL("../server.js", import.meta.url));
const { createServer } = http;

// How the server listens, by IPv4 and IPv6, and stops: within STOP_SECONDS, and without dropping a request.
const STOP_MS = 1000 * (Number(process.env.STOP_SECONDS) || 7); // Docker kills after 10 s.
// HOSTNAME=:: means every address. Next.js and the application see IPv4's alone, as they do without it.
const everywhere = process.env.HOSTNAME === "::";
if (everywhere) process.env.HOSTNAME = "0.0.0.0";
let listens = () => false;

// As process 1 a signal without a handler is ignored. Once it listens, Next.js itself closes the server,
// finishes what is in flight and exits; this adds that requests without end cannot hold it up.
for (const signal of ["SIGTERM", "SIGINT"])
  process.once(signal, (_, number) => setTimeout(process.exit, listens() ? STOP_MS : 0, 128 + number));

function attend(server) {
  const { address, close, listen } = server;
  // Without a host Node.js takes both families, or the one that there is.
  if (everywhere) server.listen = (port) => listen.call(server, port);
  if (everywhere) server.address = () => ({ ...address.call(server), address: "0.0.0.0" });
  listens = () => server.listening;
  let latest = 0;
  // A browser opens connections ahead; Node.js does not count one as idle before its first request.
  const unused = new Set();
  server.on("connection", (socket) => {
    unused.add(socket.once("close", () => unused.delete(socket)));
    Object.defineProperty(socket, "remoteAddress", { value: socket.remoteAddress?.replace(/^::ffff:/, "") });
  });
  // A kept connection ends with an answer that says so: closed idle, it would take along a request.
  server.close = (done) => {
    latest = Date.now() + STOP_MS / 4;
    const look = (_, count) => {
      if (count > 0 && Date.now() < latest) return;
      for (const socket of unused) socket.destroy();
      if (server.listening) close.call(server, done);
      server.closeIdleConnections();
    };
    setInterval(() => server.getConnections(look), 50);
  };
  return server.prependListener("request", ({ socket }, response) => {
    unused.delete(socket);
    if (latest) response.setHeader("connection", "close");
  });
}

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
