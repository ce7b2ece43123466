// The home page: what this application is, and how its backend is doing.
import { connection } from "next/server";
import { BackendHealth } from "@/components/backend-health";
import { backendHealth } from "@/lib/backend";
import site from "@/site.json";

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
