// Shows the backend's health: first as the server saw it, then refreshed by the browser.
"use client";

import { useEffect, useState } from "react";
import { away, type Health, readHealth } from "@/lib/health";

const EVERY_MS = 15_000;

const WORDS: Record<Health["status"], string> = {
  pass: "All systems go",
  warn: "Up, with a warning",
  fail: "Something is down",
  away: "Backend away: it does not answer",
};

async function fetchHealth(): Promise<Health> {
  try {
    const response = await fetch(`${process.env.BASE_PATH}/api/health`, {
      cache: "no-store",
      signal: AbortSignal.timeout(10_000),
    });
    return readHealth(response.status, await response.json());
  } catch {
    return away();
  }
}

export function BackendHealth({ initial }: { initial: Health }) {
  const [health, setHealth] = useState(initial);

  useEffect(() => {
    const timer = setInterval(async () => {
      if (!document.hidden) setHealth(await fetchHealth());
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);

  return (
    <section className="health" data-status={health.status} aria-label="Backend health" aria-live="polite">
      <h2>{WORDS[health.status]}</h2>
      <ul>
        {health.checks.map((check) => (
          <li key={check.name + check.detail} data-status={check.status}>
            <b>{check.status}</b> {check.name} <small>{check.detail}</small>
          </li>
        ))}
      </ul>
      <small>
        {health.version && `Backend ${health.version} · `}
        read at <time dateTime={health.time}>{health.time.slice(11, 19)} UTC</time>
      </small>
    </section>
  );
}
