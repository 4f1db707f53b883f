import { t } from "../i18n/translate.ts";
import { splitPath } from "../lib/modelPath.ts";

/** A path with its last component in bold. Where it is too long its start gives way. */
export function PathText({ path, root }: { readonly path: string; readonly root: string }) {
  const { parent, name } = splitPath(path);
  return (
    <span class="nnw-path nnw-ellipsis" title={path === "" ? root : path}>
      <bdi dir="ltr">
        <bdi>{parent}</bdi>
        <bdi>
          <b>{name === "" ? root : name}</b>
        </bdi>
      </bdi>
    </span>
  );
}

interface PathLinkProps {
  readonly path: string;
  /** What to write in place of the path. */
  readonly text?: string;
  readonly onNavigate: (path: string) => void;
  readonly alive: boolean;
}

/** A path that leads to its row. */
export function PathLink({ path, text, onNavigate, alive }: PathLinkProps) {
  return (
    <button type="button" class="nnw-link nnw-ellipsis" title={path} disabled={!alive} onClick={() => onNavigate(path)}>
      <bdi>{text ?? (path === "" ? t("the model") : path)}</bdi>
    </button>
  );
}
