// While one version replaces another, a page of the one asks a server of the other for its scripts: what is
// not here the servers of PEERS may have, a name that resolves to all of them, and their port.
import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import { http } from "./answers.mjs";
import { basePath, endToEnd, relay } from "./proxy.mjs";

const [, name, port] = /^(.*):(\d+)$/.exec(process.env.PEERS) ?? [];
const files = `${basePath}/_next/static/`;
const here = new URL("../.next/static/", import.meta.url).pathname;
const agent = new http.Agent({ keepAlive: true, maxSockets: 16 });
const MARK = "x-taskflow-peer"; // Who asks for another passes on no question.

/** Gets a file that is not here; what nobody has, and all else, is for `next` to answer. */
export function fromPeers(request, response, next) {
  const [path] = request.url.split("?");
  const asks = name && path.startsWith(files) && request.method === "GET" && !(MARK in request.headers);
  if (!asks || existsSync(decodeURIComponent(path).replace(files, here))) return next(request, response);
  const headers = { ...endToEnd(request), [MARK]: "1" };
  const ask = ([peer, ...others]) => {
    if (!peer) return next(request, response);
    // One that has ended does not answer, and there are others.
    const options = { host: peer.address, port, path: request.url, headers, agent, timeout: 1_000 };
    relay(request, response, options, { below: 400, failed: () => ask(others) });
  };
  lookup(name, { all: true }).then(ask, () => ask([]));
}
