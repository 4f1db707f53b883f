import { t } from "../../i18n/translate.ts";
import { useEditing } from "./editingContext.ts";

/** Says whether gradients are asked for and, where the model can be changed, changes that. */
export function FreezeButton({ path, isFrozen }: { readonly path: string; readonly isFrozen: boolean }) {
  const editing = useEditing();
  const words = t(isFrozen ? "frozen" : "trainable");
  if (editing === null) {
    return <span title={isFrozen ? t("requires_grad is False") : undefined}>{words}</span>;
  }
  const { changes, isFold, alive } = editing;
  const act = isFold
    ? t(isFrozen ? "unfreeze all members" : "freeze all members")
    : t(isFrozen ? "unfreeze" : "freeze");
  return (
    <button
      type="button"
      class="nnw-freeze"
      disabled={!alive}
      aria-pressed={isFrozen}
      aria-label={t("{0}: {1}", words, act)}
      title={isFrozen ? t("requires_grad is False; {0}", act) : t(isFold ? "Freeze all members" : "Freeze")}
      onClick={() => changes.freeze({ path, ...(isFold ? { scope: "fold" } : {}) }, isFrozen)}
    >
      {words}
    </button>
  );
}
