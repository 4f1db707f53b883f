import type { PageError } from "../lib/errors.ts";
import { ErrorNote } from "./Note.tsx";

interface PendingProps {
  readonly error: PageError | null;
  readonly path: string;
  readonly alive: boolean;
  readonly onRetry: () => void;
  /** What can't be done. */
  readonly what: string;
}

/** Stands for a part while what it needs is on its way, or tells why that did not come. */
export function Pending({ error, what, ...rest }: PendingProps) {
  return error === null ? (
    <div class="nnw-skeleton nnw-skeleton-map" aria-hidden="true" />
  ) : (
    <ErrorNote error={error} what={what} {...rest} />
  );
}
