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

export function attend(server) {
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
