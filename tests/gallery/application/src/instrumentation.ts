import { z } from "zod";

// Refuses to start with an environment that would fail later.
export function register() {
  const { LICENCE } = z.object({ LICENCE: z.string({ error: "LICENCE is not set" }) }).parse(process.env);
  console.log(`licensed to ${LICENCE}`);
}
