import { setTimeout as sleep } from "node:timers/promises";

export const dynamic = "force-dynamic";

export function GET() {
  const words = new ReadableStream({
    async start(controller) {
      for (const word of ["one ", "two ", "three"]) {
        controller.enqueue(new TextEncoder().encode(word));
        await sleep(200);
      }
      controller.close();
    },
  });
  return new Response(words, { headers: { "content-type": "text/plain" } });
}
