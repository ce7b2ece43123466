// Exit code 0 when the URL answers 200.
require("node:http")
  .get(process.argv[2], { timeout: 2000 }, (response) => process.exit(response.statusCode === 200 ? 0 : 1))
  .on("error", () => process.exit(1));
