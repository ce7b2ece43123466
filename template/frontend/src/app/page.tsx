// The home page: what this application is, and how its backend is doing.
import { connection } from "next/server";
import { BackendHealth } from "@/components/backend-health";
import { away, type Health, readHealth } from "@/lib/health";
import site from "@/site.json";

// More than any health document, far less than the heap.
const MOST_BYTES = 64 * 1024;

/** The backend's health for the first view; never throws, for a page must show that it is away. */
async function backendHealth(): Promise<Health> {
  try {
    // From the server: API_URL is read at run time and never built into the image.
    const response = await fetch(`${process.env.API_URL}/api/health`, {
      cache: "no-store",
      signal: AbortSignal.timeout(1_500),
    });
    let text = "";
    for await (const part of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += part;
      if (text.length > MOST_BYTES) return away();
    }
    return readHealth(response.status, JSON.parse(text));
  } catch {
    return away();
  }
}

export default async function Home() {
  // Rendered for each request: API_URL is a matter of where it runs, not of the build.
  await connection();
  const health = await backendHealth();
  return (
    <main>
      <h1>{site.title}</h1>
      {site.description && <p>{site.description}</p>}
      <BackendHealth initial={health} />
      <footer>Version {process.env.TASKFLOW_VERSION ?? "0.0.0"}</footer>
    </main>
  );
}
