/** A style sheet of js/src/style, bundled, as text. */
declare module "style:*" {
  const css: string;
  export default css;
}
