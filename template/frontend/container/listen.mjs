// HOSTNAME=:: means every address: by IPv6 too, where the kernel has it.
// Next.js and the application see 0.0.0.0 and plain IPv4 addresses, as they do without it.
const IPV4 = "0.0.0.0";
const everywhere = process.env.HOSTNAME === "::";
if (everywhere) process.env.HOSTNAME = IPV4;

/** @param {import("node:http").Server} server */
export function listenEverywhere(server) {
  if (!everywhere) return;
  const listen = server.listen.bind(server);
  const address = server.address.bind(server);
  // Without a host Node.js takes both families, or the one that there is.
  server.listen = (/** @type {any} */ port) => listen(port);
  server.address = () => {
    const bound = address();
    return bound && typeof bound === "object" ? { ...bound, address: IPV4, family: "IPv4" } : bound;
  };
  server.on("connection", (socket) => {
    const { remoteAddress } = socket;
    if (!remoteAddress?.startsWith("::ffff:")) return;
    Object.defineProperty(socket, "remoteAddress", { value: remoteAddress.slice("::ffff:".length) });
  });
}
