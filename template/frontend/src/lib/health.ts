// Reads a health answer (application/health+json) into what the page shows; runs in the server and the browser.

export type Status = "pass" | "warn" | "fail";

export type Check = { name: string; status: Status; detail: string };

export type Health = {
  /** "away" when no backend answered. */
  status: Status | "away";
  version: string;
  checks: Check[];
  /** When the answer was read, ISO 8601. */
  time: string;
};

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

// The draft allows these synonyms.
function readStatus(value: unknown, otherwise: Status): Status {
  const word = text(value).toLowerCase();
  if (word === "pass" || word === "ok" || word === "up") return "pass";
  if (word === "fail" || word === "error" || word === "down") return "fail";
  return word === "warn" ? "warn" : otherwise;
}

// "database:responseTime" reads "Database, response time".
function readable(name: string): string {
  const words = name
    .replace(/:/g, ", ")
    .replace(/[_-]+/g, " ")
    .replace(/([a-z])([A-Z])/g, (_, end: string, start: string) => `${end} ${start.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function readCheck(name: string, value: unknown, otherwise: Status): Check {
  const check = isObject(value) ? value : { status: value };
  const measured = [text(check.observedValue), text(check.observedUnit)].filter(Boolean).join(" ");
  return {
    name: readable(name),
    status: readStatus(check.status, otherwise),
    detail: text(check.output) || measured,
  };
}

export function away(): Health {
  return { status: "away", version: "", checks: [], time: new Date().toISOString() };
}

export function readHealth(httpStatus: number, body: unknown): Health {
  // A gateway's own answer (502, 504, a login page) is not a health document.
  if (!isObject(body) || typeof body.status !== "string") return away();
  const otherwise = httpStatus < 400 ? "warn" : "fail";
  const checks = Object.entries(isObject(body.checks) ? body.checks : {}).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).map((one) => readCheck(name, one, "pass")),
  );
  return {
    status: readStatus(body.status, otherwise),
    version: text(body.version),
    checks,
    time: new Date().toISOString(),
  };
}
