export const dynamic = "force-dynamic";

export default function Page() {
  return <main>Yarn of {process.env.NEXT_PUBLIC_SHOP ?? "nobody"}</main>;
}
