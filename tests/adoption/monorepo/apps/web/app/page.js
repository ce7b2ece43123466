import { title } from "@monorepo/ui";

export const dynamic = "force-dynamic";

export default async function Page() {
  const answer = await fetch(`${process.env.API_URL}/api/items`, { signal: AbortSignal.timeout(2000) }).then((r) => r.json(), () => null);
  return <main>{title()}: {answer ? `${[answer].flat().length} items` : "the list is unavailable"}</main>;
}
