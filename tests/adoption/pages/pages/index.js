export const getServerSideProps = async () => ({ props: { name: "The shop" } });

export default function Home({ name }) {
  return <h1>{name}</h1>;
}
