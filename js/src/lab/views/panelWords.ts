import { t } from "../../i18n/translate.ts";
import type { ActiveModel } from "../activeModel.ts";

/** What stands where the list of variables would be: what is the matter, what to do, and what a button does. */
export interface Words {
  readonly title: string;
  readonly text: string;
  readonly action?: string;
  readonly isWaiting?: boolean;
  readonly isError?: boolean;
}

/** The state of the active notebook's kernel in words; null where there is a list to show. */
export function wordsFor({ notebook, connection, kernel }: ActiveModel): Words | null {
  if (notebook === null) {
    return { title: t("No notebook."), text: t("Open one that makes a PyTorch model.") };
  }
  if (connection === null) {
    return kernelWords(kernel?.status ?? null);
  }
  const isBusy = connection.kernel.status === "busy";
  switch (connection.stage.at) {
    case "asking":
      return isBusy
        ? {
            title: t("The kernel is busy."),
            text: t("Its variables are listed as soon as it answers."),
            isWaiting: true,
          }
        : { title: t("Asking the kernel…"), text: "", isWaiting: true };
    case "foreign":
      return {
        title: t("This notebook's kernel runs {0}.", connection.stage.language),
        text: t("PyTorch models live in Python kernels: choose one for this notebook, or open another."),
      };
    case "unloaded":
      return {
        title: t("nnwidgets is not loaded in this kernel."),
        text: t("Loading it runs %load_ext nnwidgets there. Until then nothing runs in the kernel."),
        action: t("Load nnwidgets"),
      };
    case "loading":
      return isBusy
        ? {
            title: t("Loading nnwidgets into the kernel…"),
            text: t("Where a cell is running, that comes first."),
            isWaiting: true,
          }
        : {
            title: t("Loading nnwidgets into the kernel…"),
            text: t("The first time, PyTorch is imported there with it."),
            isWaiting: true,
          };
    case "obstacle":
      return {
        title: t(connection.stage.obstacle.message),
        text: t(connection.stage.obstacle.hint),
        action: t("Try again"),
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
      return { title: t("The kernel is restarting."), text: t("Its variables are gone."), isWaiting: true };
    case "dead":
    case "terminating":
    case null:
      return { title: t("This notebook has no kernel."), text: t("Start one to look into its models.") };
    default:
      return { title: t("The kernel is starting…"), text: "", isWaiting: true };
  }
}
