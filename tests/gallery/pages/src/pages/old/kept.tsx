import type { GetStaticProps, InferGetStaticPropsType } from "next";

export const getStaticProps = (() => ({
  props: { made: process.env.NEXT_PHASE ? "while building" : "while serving" },
})) satisfies GetStaticProps;

export default function Kept({ made }: InferGetStaticPropsType<typeof getStaticProps>) {
  return <p>{`Made ${made}`}</p>;
}
