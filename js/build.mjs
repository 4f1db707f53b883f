// Builds the page: nnwidgets/static/nnwidgets.js and nnwidgets.css. Fails when the script outgrows its budget.
import { stat } from "node:fs/promises";
import { context } from "esbuild";

const BUDGET_BYTES = 120_000;
const SCRIPT = "nnwidgets/static/nnwidgets.js";

const options = {
  entryPoints: [
    { in: "js/src/entries/widget.ts", out: "nnwidgets" },
    { in: "js/src/style/main.css", out: "nnwidgets" },
  ],
  outdir: "nnwidgets/static",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  // Four per cent smaller than the automatic runtime, which names the children of each element.
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment" } },
  inject: ["js/tools/jsx.ts"],
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
};

const building = await context(options);
if (process.argv.includes("--watch")) {
  await building.watch();
} else {
  await building.rebuild();
  await building.dispose();
  const { size } = await stat(SCRIPT);
  console.log(`${SCRIPT}: ${size} bytes of ${BUDGET_BYTES}`);
  if (size > BUDGET_BYTES) {
    console.error(`${SCRIPT} is ${size - BUDGET_BYTES} bytes over its budget.`);
    process.exit(1);
  }
}
