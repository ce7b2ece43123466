export default () => <main>One root</main>;
