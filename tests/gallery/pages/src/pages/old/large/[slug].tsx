import type { GetStaticPaths } from "next";

export const getStaticPaths = (() => ({ paths: [], fallback: "blocking" })) satisfies GetStaticPaths;

export const getStaticProps = () => ({ props: {} });

export default function Large() {
  return <p>{"large ".repeat(500_000)}</p>;
}
