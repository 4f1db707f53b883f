import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { reinitializePart } from "../../bundles/lazy.ts";
import { Unready } from "../../components/Pending.tsx";
import { type Fault, faultOf } from "../../lib/errors.ts";
import type { ReinitializeProps } from "./Reinitialize.tsx";

/** The panel that fills tensors anew, which comes from the kernel when it is first opened. */
export function LateReinitialize(props: ReinitializeProps) {
  const { client, path, alive } = props;
  const [Panel, setPanel] = useState<FunctionComponent<ReinitializeProps> | null>(null);
  const [fault, setFault] = useState<Fault | null>(null);
  const load = (): void => {
    setFault(null);
    reinitializePart(client).then(
      (made) => setPanel(() => made),
      (error: unknown) => setFault(faultOf(error)),
    );
  };
  useEffect(load, [client]);
  return Panel === null ? <Unready onRetry={load} {...{ fault, path, alive }} /> : <Panel {...props} />;
}
