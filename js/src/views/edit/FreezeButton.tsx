import { Icon } from "../../components/Icon.tsx";
import { t } from "../../i18n/translate.ts";
import { exactCount } from "../../lib/format.ts";
import { useEditing } from "./editingContext.ts";

interface FreezeButtonProps {
  /** Null where it is changed at another name. */
  readonly path: string | null;
  /** Parameters there, and how many of them ask for no gradient. */
  readonly n: number;
  readonly nFrozen: number;
}

/** Says whether gradients are asked for, by all, some or none, and beside that changes it where it can be changed. */
export function FreezeButton({ path, n, nFrozen }: FreezeButtonProps) {
  const editing = useEditing();
  const isFrozen = nFrozen === n;
  const words = t(isFrozen ? "frozen" : nFrozen > 0 ? "partly frozen" : "trainable");
  const state = <span title={isFrozen ? t("requires_grad is False") : undefined}>{words}</span>;
  if (editing === null || path === null) {
    return state;
  }
  const { changes, isFold, alive, silent } = editing;
  const count = isFrozen ? n : n - nFrozen;
  const act = isFold
    ? t(isFrozen ? "Unfreeze in all blocks" : "Freeze in all blocks")
    : t(isFrozen ? "Unfreeze {0} {0|tensor|tensors}" : "Freeze {0} {0|tensor|tensors}", exactCount(count));
  return (
    <>
      {state}
      <button
        type="button"
        class="nnw-button-tiny nnw-freeze"
        disabled={!alive || silent !== null}
        title={silent ?? t("Sets requires_grad; can be undone")}
        onClick={() => changes.freeze({ path, ...(isFold ? { scope: "fold" } : {}) }, isFrozen)}
      >
        <Icon name={isFrozen ? "unlock" : "lock"} /> {act}
      </button>
    </>
  );
}
