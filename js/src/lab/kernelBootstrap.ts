import { t, word } from "../i18n/translate.ts";
import type { Kernel } from "./jupyterTypes.ts";

/** Why nnwidgets is not in a kernel: what is the matter, and what to do. */
export interface Obstacle {
  readonly message: string;
  readonly hint: string;
}

const QUESTIONS = {
  torch: "__import__('importlib.util').util.find_spec('torch') is not None",
  // What %load_ext does, without the line of text it prints when it was loaded before.
  loaded: "get_ipython().extension_manager.load_extension('nnwidgets')",
};

/** Has the kernel load nnwidgets, leaving no name and no line of history behind; tells what stood in the way. */
export async function loadIntoKernel(kernel: Kernel): Promise<Obstacle | null> {
  const { content } = await kernel.requestExecute({
    code: "",
    silent: true,
    store_history: false,
    allow_stdin: false,
    stop_on_error: false,
    user_expressions: QUESTIONS,
  }).done;
  if (content.status !== "ok") {
    return { message: word("The kernel did not load nnwidgets."), hint: word("Once it is idle again, try again.") };
  }
  return obstacleIn(content.user_expressions ?? {});
}

function obstacleIn(answers: Readonly<Record<string, unknown>>): Obstacle | null {
  if (textOf(answers.torch) === "False") {
    return {
      message: word("This kernel's Python has no PyTorch."),
      hint: word("Install torch there, or choose another kernel for the notebook."),
    };
  }
  const loaded = answers.loaded as { readonly status?: unknown; readonly ename?: unknown; readonly evalue?: unknown };
  if (loaded?.status === "ok") {
    return textOf(loaded) === "'no load function'" ? NOT_OURS : null;
  }
  const { ename, evalue } = loaded ?? {};
  if (ename === "ModuleNotFoundError" && String(evalue).includes("'nnwidgets'")) {
    return {
      message: word("nnwidgets is not installed in this kernel's Python."),
      hint: word("Run %pip install nnwidgets in a cell, then try again."),
    };
  }
  return {
    message: t("The kernel could not load nnwidgets: {0}: {1}", String(ename), String(evalue)),
    hint: word("Mend that, then try again."),
  };
}

const NOT_OURS: Obstacle = {
  message: word("What this kernel imports as nnwidgets is something else."),
  hint: word("A file or folder of that name beside the notebook is in the way: rename it and restart the kernel."),
};

function textOf(answer: unknown): unknown {
  const { data } = (answer ?? {}) as { readonly data?: Readonly<Record<string, unknown>> };
  return data?.["text/plain"];
}
