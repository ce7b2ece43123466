// Starts an application that was there before, once what it needs is set. TASKFLOW_NEEDS, which the image sets by
// taskflow.toml, names the variables: `NAME` and `NAME=host:…` must be there, `NAME=http` and `NAME=postgresql:…` hold such URLs.
import { die } from "./log.mjs";

const schemes = { http: /^https?:\/\/[^\s/?#]/i, postgresql: /^postgres(ql)?(\+\w+)?:\/\/[^\s/?#]/i };
const faults = [];
for (const word of (process.env.TASKFLOW_NEEDS ?? "").split(" ").filter(Boolean)) {
  const [, variable, kind] = word.match(/^(\w+)(?:=(\w+))?/);
  const value = process.env[variable];
  if (!value) faults.push(`${variable} is missing or empty`);
  else if (schemes[kind]?.test(value) === false) faults.push(`${variable} is no URL of ${kind}`);
}
if (faults.length > 0) die(faults.join("; "), 78); // EX_CONFIG of sysexits.h
await import("./main.mjs");
