// While one version replaces another, a page of the one asks a server of the other for its scripts. What is not here the
// servers of PEERS may have: a name that resolves to all of them, and their port.
import { lookup } from "node:dns/promises";
import { existsSync } from "node:fs";
import { pipeline } from "node:stream";

// A server that has ended does not answer, and there are others.
const SILENCE_MS = 1_000;
// Who asks for another passes on no question.
const ASKED_FOR_ANOTHER = "x-taskflow-peer";
const PASSED_ON = ["accept-encoding", "if-modified-since", "if-none-match", "range"];

/** @typedef {import("node:http").IncomingMessage} Request */
/** @typedef {import("node:http").ServerResponse} Response */

/**
 * @param {string} basePath
 * @param {string} [peers] host:port
 * @returns {(request: Request, response: Response, otherwise: () => void) => boolean} whether the request is for a file
 *   that is not here; where nobody has it, `otherwise` answers
 */
export function missingFrom(basePath, peers) {
  if (!peers) return () => false;
  const [, host = "", port] = /^(.*):(\d+)$/.exec(peers) ?? [];
  // Not imported: that would load all of fetch.
  const { Agent, request: ask } = process.getBuiltinModule("node:http");
  const agent = new Agent({ keepAlive: true, maxSockets: 16 });
  const files = `${basePath}/_next/static/`;

  /**
   * @param {Request} request
   * @param {string} address
   * @returns {Promise<Request | undefined>}
   */
  function askOne({ headers, method, url }, address) {
    const sent = PASSED_ON.flatMap((name) => (headers[name] ? [[name, headers[name]]] : []));
    const options = { host: address, port, path: url, method, agent, timeout: SILENCE_MS };
    return new Promise((resolve) => {
      const outgoing = ask({
        ...options,
        headers: { ...Object.fromEntries(sent), [ASKED_FOR_ANOTHER]: "1" },
      });
      outgoing.once("timeout", () => outgoing.destroy());
      outgoing.once("error", () => resolve(undefined));
      outgoing.once("response", (answer) => {
        outgoing.setTimeout(0);
        const has = (answer.statusCode ?? 500) < 400;
        resolve(has ? answer : void answer.resume());
      });
      outgoing.end();
    });
  }

  /**
   * @param {Request} request
   * @param {Response} response
   * @returns {Promise<boolean>}
   */
  async function answered(request, response) {
    for (const { address } of await lookup(host, { all: true })) {
      const answer = await askOne(request, address);
      if (!answer) continue;
      const { connection, "keep-alive": _, "transfer-encoding": __, ...headers } = answer.headers;
      response.writeHead(answer.statusCode ?? 200, headers);
      pipeline(answer, response, () => {});
      return true;
    }
    return false;
  }

  return (request, response, otherwise) => {
    const [path = ""] = (request.url ?? "").split("?");
    if (!path.startsWith(files) || !/^(GET|HEAD)$/.test(request.method ?? "")) return false;
    const file = decodeURIComponent(path.slice(files.length));
    const here = new URL(`../.next/static/`, import.meta.url).pathname + file;
    if (ASKED_FOR_ANOTHER in request.headers || file.includes("\0") || existsSync(here)) return false;
    answered(request, response).then(
      (done) => done || otherwise(),
      () => otherwise(),
    );
    return true;
  };
}
