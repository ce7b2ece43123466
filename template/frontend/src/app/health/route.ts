// GET /health: this server answers, whatever its backend does. Probes and the HEALTHCHECK ask it.

export const dynamic = "force-dynamic";

export function GET(): Response {
  const body = {
    status: "pass",
    version: process.env.TASKFLOW_VERSION ?? "0.0.0",
    releaseId: process.env.TASKFLOW_REVISION ?? "unknown",
  };
  return Response.json(body, {
    headers: { "content-type": "application/health+json", "cache-control": "no-store" },
  });
}
