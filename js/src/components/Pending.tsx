import { t } from "../i18n/translate.ts";
import type { Fault } from "../lib/errors.ts";
import { FaultNote } from "./Note.tsx";

interface UnreadyProps {
  readonly fault: Fault | null;
  readonly path: string;
  readonly alive: boolean;
  readonly onRetry: () => void;
}

/** Stands for the panel that fills tensors anew while what it needs is on its way, or tells why that did not come. */
export function Unready({ fault, ...rest }: UnreadyProps) {
  return fault === null ? (
    <div class="nnw-skeleton nnw-skeleton-map" aria-hidden="true" />
  ) : (
    <FaultNote fault={fault} what={t("This can’t be re-initialized.")} {...rest} />
  );
}
