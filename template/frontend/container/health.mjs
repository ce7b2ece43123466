// GET /health: this server can serve, whatever its backend does. Probes and the HEALTHCHECK ask it.

const BODY = JSON.stringify({
  status: "pass",
  version: process.env.TASKFLOW_VERSION ?? "0.0.0",
  releaseId: process.env.TASKFLOW_REVISION ?? "unknown",
});
const HEADERS = {
  "content-type": "application/health+json",
  "cache-control": "no-store",
  "content-length": Buffer.byteLength(BODY),
};

/**
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 * @param {Promise<void>} ready the answer waits for it
 * @returns {boolean} whether it was a question for /health
 */
export function answerHealth(request, response, ready) {
  if (!/^\/health\/?(\?|$)/.test(request.url ?? "")) return false;
  if (request.method === "GET" || request.method === "HEAD")
    ready.then(() => response.writeHead(200, HEADERS).end(BODY));
  else response.writeHead(405, { allow: "GET, HEAD" }).end();
  return true;
}
