// Builds nnwidgets/labextension, the prebuilt extension of JupyterLab and Notebook 7: one script and what describes it.
// What JupyterLab shares is taken at run time, so that neither its packages nor its builder are needed here.
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { build, context } from "esbuild";

const NAME = "nnwidgets";
const OUT = "nnwidgets/labextension";
const SHARED = {
  "@jupyterlab/application": "^4.4.0",
  "@jupyterlab/apputils": "^4.5.0",
  "@jupyterlab/notebook": "^4.4.0",
  "@jupyterlab/settingregistry": "^4.4.0",
  "@jupyterlab/ui-components": "^4.4.0",
  "@lumino/widgets": "^2.0.0",
};
const INSTALL = {
  packageManager: "python",
  packageName: NAME,
  uninstallInstructions: `Use your Python package manager (pip, conda, etc.) to uninstall the package ${NAME}`,
};

/** `import css from "style:main"` gives js/src/style/main.css, bundled, as text. */
const styles = {
  name: "styles",
  setup(building) {
    building.onResolve({ filter: /^style:/ }, ({ path }) => ({ path: path.slice(6), namespace: "style" }));
    building.onLoad({ filter: /./, namespace: "style" }, async ({ path }) => {
      const file = resolve(`js/src/style/${path}.css`);
      const { outputFiles, metafile } = await build({
        entryPoints: [file],
        bundle: true,
        minify: true,
        write: false,
        metafile: true,
        target: "es2022",
      });
      return {
        contents: outputFiles[0].text,
        loader: "text",
        watchFiles: Object.keys(metafile.inputs).map((input) => resolve(input)),
      };
    });
  },
};

/** The extension brings its part of checkpoints along instead of asking the kernel for it. */
const parts = {
  name: "parts",
  setup(building) {
    building.onResolve({ filter: /\/bundles\/lazyParts\.ts$/ }, () => ({
      path: resolve("js/src/lab/bundledParts.ts"),
    }));
  },
};

/** Writes what describes the extension once its script has a name. */
const description = {
  name: "description",
  setup(building) {
    building.onStart(() => rm(`${OUT}/static`, { recursive: true, force: true }));
    building.onEnd(async ({ errors, metafile }) => {
      if (errors.length > 0) {
        return;
      }
      const load = `static/${basename(Object.keys(metafile.outputs)[0])}`;
      const { version, license } = JSON.parse(await readFile("package.json", "utf8"));
      const jupyterlab = {
        extension: true,
        schemaDir: "schema",
        outputDir: ".",
        _build: { load, extension: "./extension" },
      };
      await mkdir(`${OUT}/schemas/${NAME}`, { recursive: true });
      await copyFile("js/lab/schema.json", `${OUT}/schemas/${NAME}/plugin.json`);
      await writeJson("package.json", { name: NAME, version, license, dependencies: SHARED, jupyterlab });
      await writeJson("install.json", INSTALL);
    });
  },
};

function writeJson(name, value) {
  return writeFile(`${OUT}/${name}`, `${JSON.stringify(value, null, 2)}\n`);
}

/** The extension's build, ready to be run or watched; `options` are the page's own. */
export function labextension(options) {
  return context({
    ...options,
    outdir: `${OUT}/static`,
    entryPoints: [{ in: "js/src/bundles/lab.ts", out: "remoteEntry" }],
    // Browsers keep scripts: a new build must have a new name.
    entryNames: "[name].[hash]",
    format: "iife",
    metafile: true,
    plugins: [styles, parts, description],
  });
}
