// The container's HEALTHCHECK: exit code 0 when the given URL answers 200 within two seconds, else 1.
const http = require("node:http");

const url = process.argv[2];

/** @param {string | number | undefined} answer */
function end(answer) {
  console.log(`${url}: ${answer}`);
  process.exit(answer === 200 ? 0 : 1);
}

const request = http.get(url, { timeout: 2000 }, (response) => end(response.statusCode));
request.on("timeout", () => end("no answer"));
request.on("error", (error) => end(error.message));
