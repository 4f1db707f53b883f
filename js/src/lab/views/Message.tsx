import type { Words } from "./panelWords.ts";

interface MessageProps {
  readonly words: Words;
  readonly onAction: () => void;
}

/** A state in words, with the one thing that can be done about it. */
export function Message({
  words: { title, text, action, isWaiting = false, isError = false },
  onAction,
}: MessageProps) {
  return (
    <div class="nnw-panel-message" role={isError ? "alert" : "status"} aria-busy={isWaiting}>
      <p class={isError ? "nnw-panel-title nnw-panel-error" : "nnw-panel-title"}>{title}</p>
      {text === "" ? null : <p class="nnw-panel-text">{text}</p>}
      {action === undefined ? null : (
        <button type="button" class="nnw-panel-button" onClick={onAction}>
          {action}
        </button>
      )}
    </div>
  );
}
