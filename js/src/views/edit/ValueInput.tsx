import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../../i18n/translate.ts";
import { type PageError, toPageError } from "../../lib/errors.ts";
import { isForView } from "../../lib/keyEvents.ts";

/** Writes one value; resolves to what to warn of. */
export type SetValue = (text: string) => Promise<readonly string[]>;

interface ValueInputProps {
  readonly name: string;
  readonly text: string;
  readonly onSet: SetValue;
  /** Told what to warn of, or null where nothing was written. */
  readonly onClose: (warnings: readonly string[] | null) => void;
}

/** A value to be typed over: Enter applies, Escape cancels; what is wrong with it stands beside it. */
export function ValueInput({ name, text, onSet, onClose }: ValueInputProps) {
  const input = useRef<HTMLInputElement>(null);
  const [error, setError] = useState<PageError | null>(null);
  const [isBusy, setBusy] = useState(false);
  useLayoutEffect(() => {
    input.current?.focus();
    input.current?.select();
  }, []);
  const apply = async (typed: string): Promise<void> => {
    if (isBusy) {
      return;
    }
    if (typed.trim() === text) {
      onClose(null);
      return;
    }
    setBusy(true);
    try {
      onClose(await onSet(typed));
    } catch (error) {
      setError(toPageError(error));
      setBusy(false);
    }
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (isForView(event)) {
      event.stopPropagation();
    }
    if (event.key === "Enter") {
      event.preventDefault();
      void apply((event.currentTarget as HTMLInputElement).value);
    } else if (event.key === "Escape") {
      event.preventDefault();
      onClose(null);
    }
  };
  return (
    <>
      <input
        ref={input}
        class="nnw-value-input"
        type="text"
        autocomplete="off"
        spellcheck={false}
        aria-label={t("New value of {0}", name)}
        aria-invalid={error !== null}
        readOnly={isBusy}
        // What is typed stays when the table round it is drawn again.
        defaultValue={text}
        onKeyDown={onKeyDown}
        onInput={() => setError(null)}
        onClick={(event) => event.stopPropagation()}
        onDblClick={(event) => event.stopPropagation()}
        onBlur={() => isBusy || onClose(null)}
      />
      {error === null ? null : (
        <span class="nnw-value-fault" role="alert">
          {error.message} {error.hint}
        </span>
      )}
    </>
  );
}
