// The home page: what this application is, and how its backend is doing.
import { connection } from "next/server";
import { BackendHealth } from "@/components/backend-health";
import { backendHealth } from "@/lib/backend";
import site from "@/site.json";
import styles from "./page.module.css";

export default async function Home() {
  // Rendered for each request: API_URL is a matter of where it runs, not of the build.
  await connection();
  const health = await backendHealth();
  return (
    <main className={styles.page}>
      <header className={styles.header}>
        <h1>{site.title}</h1>
        {site.description && <p>{site.description}</p>}
      </header>
      <BackendHealth initial={health} />
      <footer className={styles.footer}>Version {process.env.TASKFLOW_VERSION ?? "0.0.0"}</footer>
    </main>
  );
}
