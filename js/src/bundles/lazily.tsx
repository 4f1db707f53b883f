import type { FunctionComponent } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Pending } from "../components/Pending.tsx";
import { t } from "../i18n/translate.ts";
import { type PageError, toPageError } from "../lib/errors.ts";
import type { Client } from "../protocol/client.ts";

interface LazyProps {
  readonly client: Client;
  readonly path: string;
  readonly alive: boolean;
}

/** A component that comes from the kernel when it is first drawn; until then a blank, or why it did not come. */
export function lazily<Props extends LazyProps>(
  load: (client: Client) => Promise<FunctionComponent<Props>>,
  what: string,
): FunctionComponent<Props> {
  return (props) => {
    const { client, path, alive } = props;
    const [Part, setPart] = useState<FunctionComponent<Props> | null>(null);
    const [error, setError] = useState<PageError | null>(null);
    const begin = (): void => {
      setError(null);
      load(client).then(
        (made) => setPart(() => made),
        (error: unknown) => setError(toPageError(error)),
      );
    };
    useEffect(begin, [client]);
    return Part === null ? <Pending onRetry={begin} what={t(what)} {...{ error, path, alive }} /> : <Part {...props} />;
  };
}

/** A component with the style that it alone needs. */
export function withStyle<Props extends object>(
  View: FunctionComponent<Props>,
  style: string,
): FunctionComponent<Props> {
  return (props) => (
    <>
      <style>{style}</style>
      <View {...props} />
    </>
  );
}
