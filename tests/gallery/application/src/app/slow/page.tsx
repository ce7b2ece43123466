import { setTimeout as sleep } from "node:timers/promises";
import { connection } from "next/server";
import { Suspense } from "react";

async function Late() {
  await connection();
  await sleep(300);
  return <em>at last</em>;
}

export default function Slow() {
  return (
    <Suspense fallback={<i>soon</i>}>
      <Late />
    </Suspense>
  );
}
