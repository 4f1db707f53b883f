import type { Follower } from "../follower.ts";

/** What stands where the list of variables would be: what is the matter, what to do, and what a button does. */
export interface Words {
  readonly title: string;
  readonly text: string;
  readonly action?: string;
  readonly isWaiting?: boolean;
  readonly isError?: boolean;
}

const LOAD = "Load nnwidgets";
const COST = "Until then nothing runs in the kernel.";

/** The state of the active notebook's kernel in words; null where there is a list to show. */
export function wordsFor({ notebook, link, kernel }: Follower): Words | null {
  if (notebook === null) {
    return { title: "No notebook.", text: "Open one that makes a PyTorch model." };
  }
  if (link === null) {
    return kernelWords(kernel?.status ?? null);
  }
  const isBusy = link.kernel.status === "busy";
  switch (link.stage.at) {
    case "asking":
      return isBusy
        ? { title: "The kernel is busy.", text: "Its variables are listed as soon as it answers.", isWaiting: true }
        : { title: "Asking the kernel…", text: "", isWaiting: true };
    case "foreign":
      return {
        title: `This notebook's kernel runs ${link.stage.language}.`,
        text: "PyTorch models live in Python kernels: choose one for this notebook, or open another.",
      };
    case "unloaded":
      return {
        title: "nnwidgets is not loaded in this kernel.",
        text: `Loading it runs %load_ext nnwidgets there. ${COST}`,
        action: LOAD,
      };
    case "loading":
      return isBusy
        ? {
            title: "Loading nnwidgets into the kernel…",
            text: "Where a cell is running, that comes first.",
            isWaiting: true,
          }
        : {
            title: "Loading nnwidgets into the kernel…",
            text: "The first time, PyTorch is imported there with it.",
            isWaiting: true,
          };
    case "obstacle":
      return {
        title: link.stage.obstacle.message,
        text: link.stage.obstacle.hint,
        action: "Try again",
        isError: true,
      };
    case "live":
      return null;
  }
}

function kernelWords(status: string | null): Words {
  switch (status) {
    case "restarting":
    case "autorestarting":
      return { title: "The kernel is restarting.", text: "Its variables are gone.", isWaiting: true };
    case "dead":
    case "terminating":
    case null:
      return { title: "This notebook has no kernel.", text: "Start one to look into its models." };
    default:
      return { title: "The kernel is starting…", text: "", isWaiting: true };
  }
}
