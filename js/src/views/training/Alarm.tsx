import { useEffect, useState } from "preact/hooks";
import { Banner } from "../../components/Banner.tsx";
import { t } from "../../i18n/translate.ts";
import type { NotFinite } from "../../protocol/messages.ts";
import type { TrainingHistory } from "./history.ts";

export interface AlarmProps {
  readonly onNavigate: (path: string) => void;
  readonly alive: boolean;
}

/** A line above the tree once something in the training isn't finite: the first tensor, and between which steps. */
export function Alarm({ history, onNavigate, alive }: AlarmProps & { readonly history: TrainingHistory }) {
  const [, redraw] = useState(0);
  useEffect(() => history.subscribe(() => redraw((count) => count + 1)), [history]);
  const { broken } = history;
  if (broken === null) {
    return null;
  }
  const show = { label: t("Show it"), run: () => onNavigate(broken.path) };
  return (
    <Banner glyph="warning" title={what(broken)} text={since(broken)} isError {...(alive ? { action: show } : {})} />
  );
}

function what({ of, path, n_tensors }: NotFinite): string {
  const first = t(of === "gradient" ? "NaN or inf in the gradient of {0}" : "NaN or inf in the values of {0}", path);
  return n_tensors === 1 ? `${first}.` : t("{0} and of {1} more.", first, n_tensors - 1);
}

function since({ step, last_clean }: NotFinite): string {
  return last_clean === null
    ? t("First seen after step {0}.", step)
    : t("First seen after step {0}; step {1} was clean.", step, last_clean);
}
