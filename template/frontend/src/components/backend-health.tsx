// Shows the backend's health: first as the server saw it, then refreshed by the browser.
"use client";

import { useCallback, useEffect, useState } from "react";
import { away, type Health, readHealth } from "@/lib/health";
import styles from "./backend-health.module.css";

const EVERY_MS = 15_000;

const WORDS: Record<Health["status"], { title: string; text: string }> = {
  pass: { title: "All systems go", text: "The backend answers and everything it needs is there." },
  warn: { title: "Up, with a warning", text: "The backend answers, but not everything is as it should be." },
  fail: { title: "Something is down", text: "The backend answers, but something it needs does not." },
  away: { title: "Backend away", text: "The backend does not answer right now. This page keeps asking." },
};

async function fetchHealth(): Promise<Health> {
  try {
    const response = await fetch("/api/health", { cache: "no-store", signal: AbortSignal.timeout(10_000) });
    return readHealth(response.status, await response.json());
  } catch {
    return away();
  }
}

export function BackendHealth({ initial }: { initial: Health }) {
  const [health, setHealth] = useState(initial);
  const [busy, setBusy] = useState(false);

  const refresh = useCallback(async () => {
    setBusy(true);
    setHealth(await fetchHealth());
    setBusy(false);
  }, []);

  useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) void refresh();
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [refresh]);

  const words = WORDS[health.status];
  return (
    <section className={styles.card} data-status={health.status} aria-label="Backend health" aria-busy={busy}>
      <div className={styles.summary} aria-live="polite">
        <span className={styles.light} aria-hidden="true" />
        <div>
          <h2>{words.title}</h2>
          <p>{words.text}</p>
        </div>
      </div>
      {health.checks.length > 0 && (
        <dl className={styles.checks}>
          {health.checks.map((check) => (
            <div key={check.name + check.detail} data-status={check.status}>
              <dt>{check.name}</dt>
              <dd>
                {check.detail && <span className={styles.detail}>{check.detail}</span>}
                <span className={styles.badge}>{check.status}</span>
              </dd>
            </div>
          ))}
        </dl>
      )}
      <div className={styles.actions}>
        <p>
          {health.version && <>Backend {health.version} · </>}
          read at <time dateTime={health.time}>{health.time.slice(11, 19)} UTC</time>
        </p>
        <button type="button" onClick={refresh} disabled={busy}>
          {busy ? "Refreshing…" : "Refresh"}
        </button>
      </div>
    </section>
  );
}
