// Asks the backend from the server: API_URL is read at run time and never built into the image.
import { away, type Health, readHealth } from "./health";

// More than any health document, far less than the heap.
const MOST_BYTES = 64 * 1024;

/** The backend's health for the first view of a page; never throws, for a page must show that it is away. */
export async function backendHealth(): Promise<Health> {
  try {
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
