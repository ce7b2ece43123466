export const revalidate = 1;

export default function Timed() {
  return <b>{Date.now()}</b>;
}
