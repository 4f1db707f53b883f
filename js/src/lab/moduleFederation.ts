/** Modules that JupyterLab shares with its extensions, by name and version, as webpack's module federation has them. */
export type ShareScope = Readonly<Record<string, Readonly<Record<string, SharedVersion>>>>;

interface SharedVersion {
  /** Gives what gives the module. */
  get(): Promise<() => unknown> | (() => unknown);
  /** Whether some version is in use already: there must be one only. */
  readonly loaded?: unknown;
}

/** Takes one module from the scope: the version in use, where there is one. */
export async function sharedModule<Module>(scope: ShareScope, name: string): Promise<Module> {
  const versions = Object.values(scope[name] ?? {});
  const version = versions.find(({ loaded }) => Boolean(loaded)) ?? versions[0];
  if (version === undefined) {
    throw new Error(`nnwidgets: this JupyterLab shares no ${name}; version 4.4 or later does.`);
  }
  return (await version.get())() as Module;
}
