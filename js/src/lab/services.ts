import type { Notebooks } from "./jupyterTypes.ts";
import { type ShareScope, sharedModule } from "./moduleFederation.ts";

/** A Lumino widget, as far as the panel is one. */
export interface HostWidget {
  id: string;
  readonly node: HTMLElement;
  readonly title: { label: string; caption: string; icon: unknown };
  readonly parent: HostWidget | null;
  fit(): void;
}

export interface Application {
  readonly commands: {
    addCommand(
      id: string,
      options: { label: () => string; caption: () => string; execute: (args: CommandArguments) => unknown },
    ): void;
    execute(id: string, args: CommandArguments): Promise<unknown>;
  };
  readonly shell: {
    add(widget: HostWidget, area: string, options: { rank: number }): void;
    activateById(id: string): void;
  };
  readonly restored: Promise<unknown>;
}

export interface CommandArguments {
  readonly name?: unknown;
}

export interface Palette {
  addItem(options: { command: string; category: string }): unknown;
}

export interface SettingRegistry {
  load(plugin: string): Promise<{
    readonly composite: Readonly<Record<string, unknown>>;
    readonly changed: { connect(slot: () => void): unknown };
  }>;
}

export interface Restorer {
  add(widget: HostWidget, name: string): void;
}

/** A plugin as JupyterLab takes it; what is optional comes as null where the host has none. */
export interface Plugin {
  readonly id: string;
  readonly description: string;
  readonly autoStart: true;
  readonly optional: readonly unknown[];
  readonly activate: (
    app: Application,
    tracker: Notebooks | null,
    palette: Palette | null,
    registry: SettingRegistry | null,
    restorer: Restorer | null,
  ) => void;
}

/** The classes, tokens and functions of JupyterLab that the extension is made with. */
export interface Host {
  readonly Widget: new () => HostWidget;
  readonly LabIcon: new (options: { name: string; svgstr: string }) => unknown;
  readonly InputDialog: {
    getItem(options: { title: string; items: string[] }): Promise<{ readonly value: string | null }>;
  };
  readonly tokens: readonly unknown[];
}

/** Takes from the share scope what the extension needs. */
export async function takeHost(scope: ShareScope): Promise<Host> {
  const [application, apputils, notebook, settings, icons, widgets] = await Promise.all(
    [
      "@jupyterlab/application",
      "@jupyterlab/apputils",
      "@jupyterlab/notebook",
      "@jupyterlab/settingregistry",
      "@jupyterlab/ui-components",
      "@lumino/widgets",
    ].map((name) => sharedModule<Readonly<Record<string, unknown>>>(scope, name)),
  );
  return {
    Widget: widgets?.Widget as Host["Widget"],
    LabIcon: icons?.LabIcon as Host["LabIcon"],
    InputDialog: apputils?.InputDialog as Host["InputDialog"],
    tokens: [
      notebook?.INotebookTracker,
      apputils?.ICommandPalette,
      settings?.ISettingRegistry,
      application?.ILayoutRestorer,
    ],
  };
}
