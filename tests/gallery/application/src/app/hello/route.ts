import { cookies } from "next/headers";
import type { NextRequest } from "next/server";

export async function GET(request: NextRequest) {
  const name = request.nextUrl.searchParams.get("name") ?? "";
  if (name === "nobody") console.trace("on its way");
  if (name === "nobody") console.log("-5 degrees");
  if (name === "nobody") throw new Error("as planned", { cause: new Error("by a cause") });
  (await cookies()).set("name", name, { httpOnly: true, sameSite: "lax" });
  return Response.json({ hello: name });
}
