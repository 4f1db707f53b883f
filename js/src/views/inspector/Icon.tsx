const PATHS = {
  copy: "M6.7 5.5h5.1a1.2 1.2 0 0 1 1.2 1.2v5.1a1.2 1.2 0 0 1-1.2 1.2H6.7a1.2 1.2 0 0 1-1.2-1.2V6.7a1.2 1.2 0 0 1 1.2-1.2ZM10.5 3H4.2A1.2 1.2 0 0 0 3 4.2v6.3",
  check: "m3.5 8.5 3 3 6-7",
  warning: "M8 2.5 14.3 13.5H1.7ZM8 6.5v3.2M8 11.7v.1",
  info: "M13.8 8A5.8 5.8 0 1 1 2.2 8a5.8 5.8 0 0 1 11.6 0ZM8 7.5v3.5M8 5v.1",
  no: "M13.5 8a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0ZM4.2 4.2l7.6 7.6",
  previous: "M10 3.5 5.5 8l4.5 4.5",
  next: "M6 3.5 10.5 8 6 12.5",
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
} as const;

export type IconName = keyof typeof PATHS;

/** A 16 px line drawing in the text's colour. Always beside words, or in a control that has a name. */
export function Icon({ name }: { readonly name: IconName }) {
  return (
    <svg class={`nnw-icon nnw-icon-${name}`} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
