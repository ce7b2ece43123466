// GET /health as a route of Next.js, for the template's own server answers it itself.

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
