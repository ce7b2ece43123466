import Image from "next/image";
import square from "./square.png";

export default function Pictures() {
  return <Image src={square} alt="A square" placeholder="blur" />;
}
