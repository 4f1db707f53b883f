import { t } from "../i18n/translate.ts";

const HUES = 6;

interface TieBadgeProps {
  readonly letter: string;
  /** Outlined: a member is inside. Filled: this tensor is one. */
  readonly isInside?: boolean;
}

/** A tie group's letter in its colour; hues repeat after six groups, letters don't. */
export function TieBadge({ letter, isInside = false }: TieBadgeProps) {
  const name = t(isInside ? "Contains a member of tie group {0}" : "Tie group {0}", letter);
  return (
    <span
      class={`nnw-tie${isInside ? " nnw-tie-inside" : ""}`}
      style={{ "--nnw-tie": tieColor(letter) }}
      role="img"
      aria-label={name}
      title={name}
    >
      {letter}
    </span>
  );
}

/** The token of a group's hue: A…Z, then AA… by their place. */
export function tieColor(letter: string): string {
  let place = 0;
  for (const char of letter) {
    place = place * 26 + (char.charCodeAt(0) - 64);
  }
  const hue = (((place - 1) % HUES) + HUES) % HUES;
  return `var(--nnw-t${Number.isFinite(hue) ? hue : 0})`;
}
