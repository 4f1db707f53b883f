import { useEditing } from "./context.ts";

/** Says whether gradients are asked for and, where the model can be changed, changes that. */
export function FreezeButton({ path, isFrozen }: { readonly path: string; readonly isFrozen: boolean }) {
  const editing = useEditing();
  const words = isFrozen ? "frozen" : "trainable";
  if (editing === null) {
    return <span title={isFrozen ? "requires_grad is False" : undefined}>{words}</span>;
  }
  const { changes, isFold, alive } = editing;
  return (
    <button
      type="button"
      class="nnw-freeze"
      disabled={!alive}
      aria-pressed={isFrozen}
      aria-label={`${words}: ${isFrozen ? "unfreeze" : "freeze"}${isFold ? " all members" : ""}`}
      title={`${isFrozen ? "requires_grad is False; unfreeze" : "Freeze"}${isFold ? " all members" : ""}`}
      onClick={() => changes.freeze({ path, ...(isFold ? { scope: "fold" } : {}) }, isFrozen)}
    >
      {words}
    </button>
  );
}
