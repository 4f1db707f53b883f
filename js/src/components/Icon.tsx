const PADLOCK =
  "M4.7 7h6.6a1.2 1.2 0 0 1 1.2 1.2v4.1a1.2 1.2 0 0 1-1.2 1.2H4.7a1.2 1.2 0 0 1-1.2-1.2V8.2A1.2 1.2 0 0 1 4.7 7Z";
const PATHS = {
  chevron: "M6 3.5 10.5 8 6 12.5",
  lock: `${PADLOCK}M5.5 7V5a2.5 2.5 0 0 1 5 0v2`,
  unlock: `${PADLOCK}M5.5 7V5a2.5 2.5 0 0 1 4.8-1`,
  warning: "M8 2.5 14.3 13.5H1.7ZM8 6.5v3.2M8 11.7v.1",
  info: "M13.8 8A5.8 5.8 0 1 1 2.2 8a5.8 5.8 0 0 1 11.6 0ZM8 7.5v3.5M8 5v.1",
  dashed: "M4.5 3h7A1.5 1.5 0 0 1 13 4.5v7a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 3 11.5v-7A1.5 1.5 0 0 1 4.5 3Z",
  link: "M6.7 9.3a2.6 2.6 0 0 0 3.7 0l2.2-2.2a2.6 2.6 0 0 0-3.7-3.7l-.8.8M9.3 6.7a2.6 2.6 0 0 0-3.7 0L3.4 8.9a2.6 2.6 0 0 0 3.7 3.7l.8-.8",
  search: "M11 7a4 4 0 1 1-8 0 4 4 0 0 1 8 0ZM10 10l3.2 3.2",
  copy: "M6.7 5.5h5.1a1.2 1.2 0 0 1 1.2 1.2v5.1a1.2 1.2 0 0 1-1.2 1.2H6.7a1.2 1.2 0 0 1-1.2-1.2V6.7a1.2 1.2 0 0 1 1.2-1.2ZM10.5 3H4.2A1.2 1.2 0 0 0 3 4.2v6.3",
  check: "m3.5 8.5 3 3 6-7",
  alias: "M3.5 3v5.5h8M9 6l2.5 2.5L9 11",
  cycle: "M12.5 6A5 5 0 1 0 13 9M13 3v3.2H9.8",
  no: "M13.5 8a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0ZM4.2 4.2l7.6 7.6",
  plug: "M5.5 2.5v3M10.5 2.5v3M4 5.5h8v2a4 4 0 0 1-8 0ZM8 11.5v2.5",
  close: "m4 4 8 8M12 4l-8 8",
  back: "M10 3.5 5.5 8l4.5 4.5",
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  undo: "M6 3 2.8 6.2 6 9.4M3 6.2h6.300a3.4 3.4 0 0 1 0 6.800H7.5",
  redo: "m10 3 3.2 3.200L10 9.400M13 6.200H6.700a3.4 3.4 0 0 0 0 6.800h1.8",
  dice: "M4 2.5h8A1.5 1.5 0 0 1 13.5 4v8a1.5 1.5 0 0 1-1.5 1.5H4A1.5 1.5 0 0 1 2.5 12V4A1.5 1.5 0 0 1 4 2.5ZM5.5 5.5v.1M10.5 5.5v.1M8 8v.1M5.5 10.5v.1M10.5 10.5v.1",
  panel: "M2.5 3.5h11v9h-11ZM9.5 3.5v9",
  box: "M2.5 5h11v8.5h-11ZM2.5 5 4 2.5h8L13.5 5M6.5 8h3",
  table: "M2.5 3.5h11v9h-11ZM2.5 6.5h11M2.5 9.5h11M6.5 3.5v9",
  fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
} as const;

export type IconName = keyof typeof PATHS;

/** A 16 px line drawing in the text's colour; always beside words, or in something that has a name. */
export function Icon({ name, class: extra = "" }: { readonly name: IconName; readonly class?: string }) {
  return (
    <svg class={`nnw-icon nnw-icon-${name} ${extra}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
