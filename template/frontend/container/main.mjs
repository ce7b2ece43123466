// Starts the server that `next build` made, whatever the application is: checks API_URL, logs in JSON lines, answers
// /health once Next.js is prepared, passes /api/ on to the backend, and stops without dropping a request.
import { createRequire } from "node:module";
import { apiUrlFault } from "./api-url.mjs";
import { answerHealth } from "./health.mjs";
import { takeLeave } from "./leave.mjs";
import { listenEverywhere } from "./listen.mjs";
import { log, logEverything } from "./log.mjs";
import { missingFrom } from "./peers.mjs";
import { prepared } from "./prepared.mjs";
import { proxyTo } from "./proxy.mjs";
import { answerMalformed } from "./requests.mjs";

const EX_CONFIG = 78;

/**
 * @param {string} fault
 * @returns {never}
 */
function refuse(fault) {
  process.stderr.write(`${fault}\n`);
  process.exit(EX_CONFIG);
}

const require = createRequire(new URL("../server.js", import.meta.url));
const { API_URL = "", FORWARDED_ALLOW_IPS, PEERS } = process.env;
const fault = apiUrlFault(API_URL);
if (fault) refuse(fault);
// So that `${process.env.API_URL}/api/…` is right in the application, however it was given.
process.env.API_URL = API_URL.replace(/\/+$/, "");
/** @type {ReturnType<typeof proxyTo>} */
let answerApi;
const MANIFEST = "./.next/routes-manifest.json";
const manifest = require(MANIFEST);
try {
  answerApi = proxyTo(new URL(API_URL), manifest, FORWARDED_ALLOW_IPS);
} catch (error) {
  refuse(/** @type {Error} */ (error).message);
}
const answerMissing = missingFrom(manifest.basePath, PEERS);

logEverything();
const announce = console.log;
// Next.js's banner says nothing about this application.
console.log = () => {};

// Not imported: as an ES module it would load all of fetch before the lines above have run.
const http = require("node:http");
const { createServer } = http;
http.createServer = (/** @type {any} */ next) => {
  // The first server is Next.js's; what the application opens besides is its own.
  http.createServer = createServer;
  // Other upgrades are offers: who speaks HTTP/2 besides has a request to be answered.
  const shouldUpgradeCallback = (/** @type {any} */ { headers, method }) =>
    method === "GET" && /^websocket$/i.test(headers.upgrade);
  const answer = (/** @type {any} */ request, /** @type {any} */ response) => {
    if (answerHealth(request, response, ready) || answerMalformed(request, response)) return;
    if (answerApi(request, response) || answerMissing(request, response, () => next(request, response)))
      return;
    next(request, response);
  };
  const server = createServer(/** @type {any} */ ({ shouldUpgradeCallback }), answer);
  /** @type {Promise<void>} */
  const ready = new Promise((resolve) => server.once("listening", () => resolve(prepared(require))));
  ready.catch((error) => {
    log("fatal", `Next.js cannot serve: ${error?.message ?? error}`);
    process.exit(1);
  });
  // Next.js takes whatever is to be upgraded for its own.
  const emit = server.emit.bind(server);
  server.emit = (/** @type {any} */ event, /** @type {any[]} */ ...values) =>
    (event === "upgrade" && answerApi(values[0], undefined, values[2])) || emit(event, ...values);
  takeLeave(server);
  listenEverywhere(server);
  server.once("listening", () => {
    const { PORT = 3000, TASKFLOW_VERSION = "unknown" } = process.env;
    log("info", `listening on port ${PORT}, version ${TASKFLOW_VERSION}`);
    setImmediate(() => {
      console.log = announce;
    });
  });
  return server;
};

require("./server.js");
