// Stops the server within STOP_SECONDS, and without dropping a request.
import { log } from "./log.mjs";

// Shorter than the 10 s after which Docker kills.
const LONGEST_STOP_MS = 1000 * (Number(process.env.STOP_SECONDS) || 7);
const LEAVE_MS = LONGEST_STOP_MS / 4;

/** @type {import("node:http").Server | undefined} */
let serving;

// As process 1 a signal without a handler is ignored. Once it listens, Next.js itself closes the server, finishes
// what is in flight and exits with 143; this adds that requests without end cannot hold it up.
for (const [signal, code] of /** @type {const} */ ([
  ["SIGTERM", 143],
  ["SIGINT", 130],
])) {
  process.once(signal, () => {
    log("info", `${signal}: stopping`);
    if (!serving?.listening) process.exit(code);
    setTimeout(() => process.exit(code), LONGEST_STOP_MS);
  });
}

/**
 * Lets kept-alive connections end with an answer that says that it is the last. Closed at once, an idle one would
 * take along the request that its client is sending just then.
 *
 * @param {import("node:http").Server} server
 */
export function takeLeave(server) {
  serving = server;
  const close = server.close.bind(server);
  let leaving = false;
  // A browser opens connections ahead; Node.js does not count one as idle before its first request.
  /** @type {Set<import("node:net").Socket>} */
  const unused = new Set();
  server.on("connection", (socket) => {
    unused.add(socket);
    socket.once("close", () => unused.delete(socket));
  });
  server.prependListener("request", (request, response) => {
    unused.delete(request.socket);
    if (leaving) response.setHeader("connection", "close");
  });
  server.close = (done) => {
    leaving = true;
    const started = Date.now();
    const timer = setInterval(() => {
      server.getConnections((_, count) => {
        if (count > 0 && Date.now() - started < LEAVE_MS) return;
        clearInterval(timer);
        for (const socket of unused) socket.destroy();
        close(done);
        setInterval(() => server.closeIdleConnections(), 50);
      });
    }, 50);
    return server;
  };
}
