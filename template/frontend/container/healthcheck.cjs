// The container's HEALTHCHECK: exit code 0 when the given URL answers 200 within two seconds, else 1.
const url = process.argv[2];
function end(answer) {
  console.log(`${url}: ${answer}`);
  process.exit(answer === 200 ? 0 : 1);
}
setTimeout(end, 2000, "no answer");
const request = require("node:http").get(url, (response) => end(response.statusCode));
request.on("error", (error) => end(error.message));
