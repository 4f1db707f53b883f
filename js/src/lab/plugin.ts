import { chooseLanguage } from "../i18n/language.ts";
import { offerPanel } from "../lib/hostPanel.ts";
import { ActiveModel } from "./activeModel.ts";
import { addCommands, OPEN, SHOW } from "./commands.ts";
import type { DrawingPanel, Notebooks } from "./jupyterTypes.ts";
import { showSavedOutputs } from "./savedOutputs.ts";
import type { Application, Host, Palette, Plugin, Restorer, SettingRegistry } from "./services.ts";
import { DEFAULTS, settingsOf } from "./settings.ts";
import { PANEL_ID, sidePanel } from "./sidePanel.ts";

const ID = "nnwidgets:plugin";
/** Below the property inspector and the debugger. */
const RANK = 900;

/** The extension, made of what the host shares. */
export function plugin(host: Host, styles: readonly string[]): Plugin {
  const activate = (
    app: Application,
    tracker: Notebooks | null,
    palette: Palette | null,
    registry: SettingRegistry | null,
    restorer: Restorer | null,
  ): void => {
    if (tracker === null) {
      // A page without notebooks, such as Notebook 7's list of files.
      return;
    }
    const show = (panel: DrawingPanel): void => showSavedOutputs(panel, () => void app.commands.execute(OPEN, {}));
    tracker.forEach(show);
    tracker.widgetAdded.connect((_, panel) => show(panel));
    const activeModel = new ActiveModel(tracker);
    let isRestored = false;
    void app.restored.then(() => {
      isRestored = true;
    });
    // A panel that comes back with the page was not opened by the user now: it asks before it loads anything.
    const panel = sidePanel(host, activeModel, styles, () => isRestored && activeModel.load());
    app.shell.add(panel, "right", { rank: RANK });
    restorer?.add(panel, PANEL_ID);
    addCommands(app, host, activeModel, palette);
    offerPanel(document, (name) => void app.commands.execute(SHOW, { name }));
    panel.paint(DEFAULTS);
    activeModel.isAutomatic = DEFAULTS.autoDisplay;
    registry?.load(ID).then(
      (settings) => {
        let before = DEFAULTS.language;
        const apply = (): void => {
          const values = settingsOf(settings.composite);
          if (values.language !== before) {
            before = values.language;
            chooseLanguage(values.language === "host" ? null : values.language);
          }
          activeModel.isAutomatic = values.autoDisplay;
          panel.paint(values);
        };
        settings.changed.connect(apply);
        apply();
      },
      (error: unknown) => console.warn("nnwidgets: the settings of the panel can't be read.", error),
    );
  };
  return {
    id: ID,
    description: "A panel that shows the PyTorch models of the active notebook.",
    autoStart: true,
    optional: host.tokens,
    activate,
  };
}
