import { t } from "../i18n/translate.ts";
import type { PageError } from "../lib/errors.ts";
import { ErrorNote } from "./Note.tsx";

interface PendingProps {
  readonly error: PageError | null;
  readonly path: string;
  readonly alive: boolean;
  readonly onRetry: () => void;
}

/** Stands for the panel that fills tensors anew while what it needs is on its way, or tells why that did not come. */
export function Pending({ error, ...rest }: PendingProps) {
  return error === null ? (
    <div class="nnw-skeleton nnw-skeleton-map" aria-hidden="true" />
  ) : (
    <ErrorNote error={error} what={t("This can’t be re-initialized.")} {...rest} />
  );
}
