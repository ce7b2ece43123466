// Starts the server that `next build` made, whatever the application is: checks API_URL, logs in JSON lines, answers
// /health once Next.js is prepared, and stops without dropping a request.
import { createRequire } from "node:module";
import { apiUrlFault } from "./api-url.mjs";
import { answerHealth } from "./health.mjs";
import { takeLeave } from "./leave.mjs";
import { listenEverywhere } from "./listen.mjs";
import { log, logEverything } from "./log.mjs";
import { prepared } from "./prepared.mjs";
import { answerMalformed } from "./requests.mjs";

const EX_CONFIG = 78;

const fault = apiUrlFault(process.env.API_URL);
if (fault) {
  process.stderr.write(`${fault}\n`);
  process.exit(EX_CONFIG);
}

logEverything();
const announce = console.log;
// Next.js's banner says nothing about this application.
console.log = () => {};

const require = createRequire(new URL("../server.js", import.meta.url));
// Not imported: as an ES module it would load all of fetch before the lines above have run.
const http = require("node:http");
const { createServer } = http;
http.createServer = (/** @type {any} */ next) => {
  // The first server is Next.js's; what the application opens besides is its own.
  http.createServer = createServer;
  const server = createServer((/** @type {any} */ request, /** @type {any} */ response) => {
    if (answerHealth(request, response, ready) || answerMalformed(request, response)) return;
    next(request, response);
  });
  /** @type {Promise<void>} */
  const ready = new Promise((resolve) => server.once("listening", () => resolve(prepared(require))));
  ready.catch((error) => {
    log("fatal", `Next.js cannot serve: ${error?.message ?? error}`);
    process.exit(1);
  });
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
