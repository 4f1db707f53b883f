const PATHS = {
  swap: "M3 5.5h10M10.5 3 13 5.5 10.5 8M13 10.5H3M5.5 8 3 10.5 5.5 13",
  waves: "M2.5 6c2-2.5 3.5-2.5 5.5 0s3.5 2.5 5.5 0M2.5 11c2-2.5 3.5-2.5 5.5 0s3.5 2.5 5.5 0",
  unequal: "M3 6h10M3 10h10M10.5 2.5l-5 11",
  hollow: "M13.5 8a5.5 5.5 0 1 1-11 0 5.5 5.5 0 0 1 11 0Z",
  folder: "M2 4.5A1 1 0 0 1 3 3.5h3.5L8 5.5h5a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1Z",
  file: "M4 2.5h5.5L12.5 5.5v8H4ZM9.5 2.5v3h3",
  shield: "M8 1.800l5 1.700v4.200c0 3-2 5.300-5 6.5-3-1.200-5-3.5-5-6.5V3.5ZM5.600 8l1.700 1.700 3.200-3.400",
  pencil: "M3 13l.7-3L10.5 3.200l2.300 2.300L6 12.300ZM9 4.700 11.300 7",
  delta: "M8 3 13.5 13h-11Z",
  equal: "M3 6h10M3 10h10",
} as const;

export type StatusMarkName = keyof typeof PATHS;

/** A line drawing that only the panel of checkpoints has; always beside words. */
export function StatusMark({ name }: { readonly name: StatusMarkName }) {
  const isDashed = name === "hollow";
  return (
    <svg
      class={`nnw-icon nnw-mark${isDashed ? " nnw-icon-dashed" : ""}`}
      viewBox="0 0 16 16"
      aria-hidden="true"
      focusable="false"
    >
      <path d={PATHS[name]} />
    </svg>
  );
}
