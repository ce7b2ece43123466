// GET /health: this server answers, whatever its backend does. Probes and the HEALTHCHECK ask it.

const BODY = JSON.stringify({
  status: "pass",
  version: process.env.TASKFLOW_VERSION ?? "0.0.0",
  releaseId: process.env.TASKFLOW_REVISION ?? "unknown",
});

/**
 * Answers before Next.js has loaded its routes: what else is asked by then waits for them, and fails no more.
 *
 * @param {import("node:http").IncomingMessage} request
 * @param {import("node:http").ServerResponse} response
 * @returns {boolean} whether it was a question for /health
 */
export function answerHealth(request, response) {
  if (!/^\/health\/?(\?|$)/.test(request.url ?? "")) return false;
  if (request.method === "GET" || request.method === "HEAD") {
    response.writeHead(200, {
      "content-type": "application/health+json",
      "cache-control": "no-store",
      "content-length": Buffer.byteLength(BODY),
    });
    response.end(BODY);
  } else {
    response.writeHead(405, { allow: "GET, HEAD" });
    response.end();
  }
  return true;
}
