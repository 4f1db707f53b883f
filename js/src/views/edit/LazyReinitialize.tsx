import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { reinitializePart } from "../../bundles/lazyParts.ts";
import { Pending } from "../../components/Pending.tsx";
import { type PageError, toPageError } from "../../lib/errors.ts";
import type { ReinitializeProps } from "./Reinitialize.tsx";

/** The panel that fills tensors anew, which comes from the kernel when it is first opened. */
export function LazyReinitialize(props: ReinitializeProps) {
  const { client, path, alive } = props;
  const [Panel, setPanel] = useState<FunctionComponent<ReinitializeProps> | null>(null);
  const [error, setError] = useState<PageError | null>(null);
  const load = (): void => {
    setError(null);
    reinitializePart(client).then(
      (made) => setPanel(() => made),
      (error: unknown) => setError(toPageError(error)),
    );
  };
  useEffect(load, [client]);
  return Panel === null ? <Pending onRetry={load} {...{ error, path, alive }} /> : <Panel {...props} />;
}
