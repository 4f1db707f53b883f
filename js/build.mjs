// Builds the page: nnwidgets/static/nnwidgets.js and nnwidgets.css, and each part that comes when it is first opened;
// and the extension of JupyterLab, nnwidgets/labextension. Fails when a script of the page outgrows its budget.
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { build, context } from "esbuild";
import { minify } from "rolldown/experimental";
import { labextension } from "./tools/labextension.mjs";

const OUT = "nnwidgets/static";
const PAGE_BUDGET_BYTES = 130_000;
const PARTS_BUDGET_BYTES = {
  checkpoints: 60_000,
  reinitialize: 20_000,
  pulse: 6_000,
  help: 6_000,
  depth: 6_000,
  table: 12_000,
  ranks: 6_000,
  signal: 20_000,
  sentences: 3_000,
  graph: 24_000,
  layout: 60_000,
};
/** Where a part is made, if not in a file of its name: the wire says "pulse". */
const PART_FILES = { pulse: "training" };
const SHARED = "js/src/bundles/sharedModules.ts";

const options = {
  outdir: OUT,
  bundle: true,
  minify: true,
  target: "es2022",
  // Four per cent smaller than the automatic runtime, which names the children of each element.
  tsconfigRaw: { compilerOptions: { jsx: "react", jsxFactory: "h", jsxFragmentFactory: "Fragment" } },
  inject: ["js/tools/jsx.ts"],
  legalComments: "none",
  charset: "utf8",
  logLevel: "warning",
};

/** What a part takes from the page instead of bringing it along: of which files and packages, and by which names. */
async function sharedModules() {
  const { metafile } = await build({
    entryPoints: [SHARED],
    bundle: true,
    format: "esm",
    packages: "external",
    write: false,
    metafile: true,
  });
  const modules = metafile.inputs[SHARED].imports.map(({ path, external }) => (external ? path : resolve(path)));
  return { modules: new Set(modules), names: Object.values(metafile.outputs)[0].exports };
}

/** Has a part read what the page shares from `nnw`, the one argument of the function that the part is. */
function fromThePage({ modules, names }) {
  return {
    name: "from-the-page",
    setup(building) {
      building.onResolve({ filter: /./ }, ({ path, resolveDir }) => {
        const whole = path.startsWith(".") ? resolve(resolveDir, path) : path;
        return modules.has(whole) ? { path: "nnw", namespace: "page" } : undefined;
      });
      building.onLoad({ filter: /./, namespace: "page" }, () => ({
        contents: `export const { ${names.join(", ")} } = nnw;`,
      }));
    },
  };
}

const page = {
  ...options,
  entryPoints: [
    { in: "js/src/bundles/widget.ts", out: "nnwidgets" },
    { in: "js/src/style/main.css", out: "nnwidgets" },
  ],
  format: "esm",
};

/** Whether a part has a style of its own: that of others is in the page's. */
const mainStyle = await readFile("js/src/style/main.css", "utf8");
const hasStyle = (name) => existsSync(`js/src/style/${name}.css`) && !mainStyle.includes(`"./${name}.css"`);

/** A part is a module whose default export makes it from what the page shares, with its style where it has one. */
const part = (name, shared) => ({
  ...options,
  entryPoints: [
    { in: `js/src/bundles/parts/${PART_FILES[name] ?? name}.ts`, out: name },
    ...(hasStyle(name) ? [{ in: `js/src/style/${name}.css`, out: name }] : []),
  ],
  format: "iife",
  globalName: "part",
  banner: { js: "export default (nnw) => {" },
  footer: { js: "return part.default;};" },
  plugins: [fromThePage(shared)],
});

/** What each Explorer brings: the fewer bytes, the better. */
const stub = { ...options, inject: [], entryPoints: ["js/src/bundles/stub.js"], format: "esm" };

/** The words of Chinese, without line breaks, the sentences of the kernel, and the heads of its tables. */
async function writeWords() {
  const catalogues = await Promise.all(
    ["zh", "zh-sentences", "zh-tables"].map(async (name) =>
      JSON.parse(await readFile(`js/src/i18n/${name}.json`, "utf8")),
    ),
  );
  await mkdir(OUT, { recursive: true });
  await writeFile(`${OUT}/zh.json`, JSON.stringify(Object.assign({}, ...catalogues)));
}

async function buildAll() {
  await writeWords();
  const shared = await sharedModules();
  const parts = await Promise.all(Object.keys(PARTS_BUDGET_BYTES).map((name) => context(part(name, shared))));
  const all = [await context(page), await context(stub), ...parts, await labextension(options)];
  await Promise.all(all.map((each) => each.rebuild()));
  return all;
}

/** What esbuild leaves: about a hundredth. */
async function compress(file) {
  const { code, errors } = await minify(file, await readFile(file, "utf8"), { module: true });
  if (errors.length > 0) {
    throw new Error(`${file} can't be compressed: ${errors[0].message}`);
  }
  await writeFile(file, code);
}

const building = await buildAll();
if (process.argv.includes("--watch")) {
  await Promise.all(building.map((each) => each.watch()));
} else {
  await Promise.all(building.map((each) => each.dispose()));
  await compress(`${OUT}/nnwidgets.js`);
  for (const [name, budget] of Object.entries({ nnwidgets: PAGE_BUDGET_BYTES, ...PARTS_BUDGET_BYTES })) {
    const { size } = await stat(`${OUT}/${name}.js`);
    console.log(`${OUT}/${name}.js: ${size} bytes of ${budget}`);
    if (size > budget) {
      console.error(`${OUT}/${name}.js is ${size - budget} bytes over its budget.`);
      process.exitCode = 1;
    }
  }
}
