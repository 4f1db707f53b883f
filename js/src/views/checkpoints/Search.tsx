import { useEffect, useRef, useState } from "preact/hooks";
import { Icon } from "../../components/Icon.tsx";
import { t } from "../../i18n/translate.ts";

const TYPING_MS = 150;

interface SearchProps {
  readonly text: string;
  readonly label: string;
  readonly alive: boolean;
  readonly onText: (text: string) => void;
  /** Told what stands there when Enter is pressed. */
  readonly onEnter?: (text: string) => void;
}

/** Narrows a list by a part of the names in it. */
export function Search({ text, label, alive, onText, onEnter }: SearchProps) {
  const [typed, setTyped] = useState(text);
  const sent = useRef(text);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (text !== sent.current) {
      sent.current = text;
      setTyped(text);
    }
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const send = (next: string): void => {
    clearTimeout(timer.current);
    if (next !== sent.current) {
      sent.current = next;
      onText(next);
    }
  };
  return (
    <label class="nnw-find">
      <Icon name="search" class="nnw-dim" />
      <input
        type="search"
        value={typed}
        placeholder={t("Part of a name")}
        aria-label={label}
        spellcheck={false}
        autocomplete="off"
        disabled={!alive}
        onInput={(event) => {
          const next = event.currentTarget.value;
          setTyped(next);
          clearTimeout(timer.current);
          timer.current = setTimeout(() => send(next), TYPING_MS);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape" && typed !== "") {
            event.preventDefault();
            setTyped("");
            send("");
          } else if (event.key === "Enter") {
            send(event.currentTarget.value);
            onEnter?.(event.currentTarget.value);
          }
        }}
      />
    </label>
  );
}
