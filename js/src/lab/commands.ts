import { t } from "../i18n/translate.ts";
import type { ActiveModel } from "./activeModel.ts";
import type { Application, Host, Palette } from "./services.ts";
import { PANEL_ID } from "./sidePanel.ts";

export const OPEN = "nnwidgets:open-panel";
export const SHOW = "nnwidgets:show-variable";
const CATEGORY = "Neural network";

/** Adds the commands, and lists them in the palette where there is one. */
export function addCommands(app: Application, host: Host, activeModel: ActiveModel, palette: Palette | null): void {
  const open = (): void => {
    app.shell.activateById(PANEL_ID);
    activeModel.load();
  };
  app.commands.addCommand(OPEN, {
    label: () => t("Open Neural Network Panel"),
    caption: () => t("Lists the models of the active notebook; loads nnwidgets into its kernel"),
    execute: open,
  });
  app.commands.addCommand(SHOW, {
    label: () => t("Show Variable in Explorer"),
    caption: () => t("Shows the model that the variable at the cursor holds"),
    execute: async ({ name }) => {
      open();
      const chosen = typeof name === "string" ? name : await askFor(host, activeModel);
      if (chosen !== null) {
        activeModel.choose(chosen);
      }
    },
  });
  for (const command of [OPEN, SHOW]) {
    palette?.addItem({ command, category: CATEGORY });
  }
}

/** The model at the cursor; else the one that the user picks from a list. */
async function askFor(host: Host, activeModel: ActiveModel): Promise<string | null> {
  const here = wordAtCursor(activeModel);
  const stage = activeModel.connection?.stage;
  if (stage?.at !== "live") {
    return here;
  }
  const names = stage.variables.modules.map(({ name }) => name);
  if (names.length === 0 || (here !== null && names.includes(here))) {
    return here;
  }
  return (await host.InputDialog.getItem({ title: t("Show in Explorer"), items: names })).value;
}

/** The Python name under the active cell's cursor. */
export function wordAtCursor({ notebook }: Pick<ActiveModel, "notebook">): string | null {
  const editor = notebook?.content.activeCell?.editor ?? null;
  if (editor === null) {
    return null;
  }
  const { line, column } = editor.getCursorPosition();
  for (const { 0: word, index } of (editor.getLine(line) ?? "").matchAll(/[\p{L}_][\p{L}\p{N}_]*/gu)) {
    if (index <= column && column <= index + word.length) {
      return word;
    }
  }
  return null;
}
