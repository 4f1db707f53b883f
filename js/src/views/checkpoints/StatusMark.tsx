const PATHS = {
  swap: "M3 5.500h10M10.500 3 13 5.500 10.500 8M13 10.500H3M5.500 8 3 10.500 5.500 13",
  waves:
    "M2.500 6c2-2.500 3.500-2.500 5.500 0s3.500 2.500 5.500 0M2.500 11c2-2.500 3.500-2.500 5.500 0s3.500 2.500 5.500 0",
  unequal: "M3 6h10M3 10h10M10.500 2.500l-5 11",
  hollow: "M13.500 8a5.500 5.500 0 1 1-11 0 5.500 5.500 0 0 1 11 0Z",
  folder: "M2 4.500A1 1 0 0 1 3 3.500h3.500L8 5.500h5a1 1 0 0 1 1 1v6a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1Z",
  file: "M4 2.500h5.500L12.500 5.500v8H4ZM9.500 2.500v3h3",
  shield: "M8 1.800l5 1.700v4.200c0 3-2 5.300-5 6.500-3-1.200-5-3.500-5-6.500V3.500ZM5.600 8l1.700 1.700 3.200-3.400",
  pencil: "M3 13l.7-3L10.500 3.200l2.300 2.300L6 12.300ZM9 4.700 11.300 7",
  delta: "M8 3 13.500 13h-11Z",
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
