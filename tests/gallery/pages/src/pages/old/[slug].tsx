import type { GetStaticPaths, GetStaticProps, InferGetStaticPropsType } from "next";

export const getStaticPaths = (() => ({
  paths: [{ params: { slug: "made" } }],
  fallback: "blocking",
})) satisfies GetStaticPaths;

export const getStaticProps = (({ params }) => ({
  props: { slug: String(params?.slug) },
  revalidate: 60,
})) satisfies GetStaticProps;

export default function Slug({ slug }: InferGetStaticPropsType<typeof getStaticProps>) {
  return <p>{`A page called ${slug}`}</p>;
}
