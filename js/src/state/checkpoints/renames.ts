import { word } from "../../i18n/translate.ts";

/** Which names in the file stand for which paths in the model, as far as the user has said. */
export interface Renames {
  readonly acceptAll: boolean;
  /** From a name in the file to a path in the model, or null where the suggestion for it is refused. */
  readonly byName: Readonly<Record<string, string | null>>;
}

export const NO_RENAMES: Renames = { acceptAll: false, byName: {} };

/** Takes one rename, suggested or typed; no other name stands for that path any more. */
export function acceptRename({ acceptAll, byName }: Renames, source: string, path: string): Renames {
  const others = Object.entries(byName).filter(([name, to]) => name !== source && to !== path);
  return { acceptAll, byName: { ...Object.fromEntries(others), [source]: path } };
}

/** Takes one rename back: a suggestion of it stays refused where all are accepted. */
export function refuseRename({ acceptAll, byName }: Renames, source: string): Renames {
  const { [source]: _, ...others } = byName;
  return { acceptAll, byName: acceptAll ? { ...others, [source]: null } : others };
}

/** Another name in place of one that stood for a path. */
export function replaceRename(renames: Renames, before: string | null, source: string, path: string): Renames {
  return acceptRename(before === null || before === source ? renames : refuseRename(renames, before), source, path);
}

export function acceptAllRenames({ byName }: Renames): Renames {
  const typed = Object.entries(byName).filter(([, path]) => path !== null);
  return { acceptAll: true, byName: Object.fromEntries(typed) };
}

export function hasRenames({ acceptAll, byName }: Renames): boolean {
  return acceptAll || Object.keys(byName).length > 0;
}

/** What is wrong with a typed name before the kernel is asked, or null. */
export function nameProblem(text: string): string | null {
  if (text.trim() === "") {
    return word("Type a name of the file.");
  }
  return null;
}
