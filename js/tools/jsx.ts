// What esbuild puts in place of JSX: calls of `h` are shorter than those of the automatic runtime.
export { Fragment, h } from "preact";
