import type { GetServerSideProps, InferGetServerSidePropsType } from "next";
import Link from "next/link";

export const getServerSideProps = (async ({ query }) => ({
  props: { name: String(query.name ?? "nobody") },
})) satisfies GetServerSideProps;

export default function Old({ name }: InferGetServerSidePropsType<typeof getServerSideProps>) {
  return (
    <h1>
      Hello {name} <Link href="/old/made">made</Link>
    </h1>
  );
}
