// What this server answers by itself: /health, and what Next.js would answer with an error of its own.
// node:http is not imported, as in an ES module that would load all of fetch.
export const http = process.getBuiltinModule("node:http");
export const { TASKFLOW_VERSION: version = "0.0.0", TASKFLOW_REVISION: releaseId = "unknown" } = process.env;

/** Answers with a document: an error's, as RFC 9457 has it, or one of another type. */
export function send(response, status, document, type = "problem") {
  const body = JSON.stringify({ status, ...document });
  const headers = { "content-type": `application/${type}+json`, "cache-control": "no-store" };
  headers["content-length"] = Buffer.byteLength(body);
  return response.writeHead(status, http.STATUS_CODES[status], headers).end(body);
}

/** Whether nobody else is to answer; /health waits until Next.js is `ready`, and asks no backend. */
export function answered({ method, url }, response, ready) {
  const health = /^\/health\/?(\?|$)/.test(url);
  const allow = health ? "GET, HEAD" : "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
  if (!allow.split(", ").includes(method))
    return send(response.setHeader("allow", allow), 405, { detail: "The method is not allowed." });
  if (health) return ready.then(() => send(response, 200, { status: "pass", version, releaseId }, "health"));
  try {
    decodeURIComponent(url.split("?")[0]);
    if (/^(\/|https?:)/.test(url)) return false;
  } catch {} // It is not UTF-8.
  return send(response, 400, { detail: "The path is malformed." });
}
