import { Icon, type IconName } from "./Icon.tsx";

interface BannerProps {
  readonly glyph: IconName;
  readonly title: string;
  readonly text: string;
  readonly isError?: boolean;
  readonly action?: { readonly label: string; readonly run: () => void };
}

/** A line above the tree that says what stands in the way, and what to do. */
export function Banner({ glyph, title, text, isError = false, action }: BannerProps) {
  return (
    <div class={isError ? "nnw-banner nnw-banner-error" : "nnw-banner"} role={isError ? "alert" : "status"}>
      <Icon name={glyph} />
      <span>
        <b>{title}</b> {text}
      </span>
      {action === undefined ? null : (
        <button type="button" class="nnw-button" onClick={action.run}>
          {action.label}
        </button>
      )}
    </div>
  );
}
