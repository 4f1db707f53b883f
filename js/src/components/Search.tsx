import type { ComponentChildren, RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n/translate.ts";
import { Icon } from "./Icon.tsx";

const TYPING_MS = 120;

interface SearchProps {
  readonly text: string;
  readonly label: string;
  readonly placeholder?: string;
  readonly alive: boolean;
  readonly onText: (text: string) => void;
  /** Told what stands there when Enter is pressed. */
  readonly onEnter?: (text: string) => void;
  /** The keyboard leaves for the list: by Enter, the arrow down, or Escape, which clears. */
  readonly onLeave?: () => void;
  /** What was typed last counts, also where the box goes before it was sent. */
  readonly isForOthers?: boolean;
  readonly box?: RefObject<HTMLInputElement | null>;
  readonly children?: ComponentChildren;
}

/** Narrows a list by what is typed: a part of the names in it, if nothing else is said. */
export function Search(props: SearchProps) {
  const { text, label, placeholder = t("Part of a name"), alive, onText, onEnter, onLeave, box, children } = props;
  const [typed, setTyped] = useState(text);
  const sent = useRef(text);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => {
    if (text !== sent.current) {
      sent.current = text;
      setTyped(text);
    }
  }, [text]);
  const send = (next: string): void => {
    clearTimeout(timer.current);
    if (next !== sent.current) {
      sent.current = next;
      onText(next);
    }
  };
  const leave = useRef(() => {});
  leave.current = () => (props.isForOthers ? send(typed) : clearTimeout(timer.current));
  useLayoutEffect(() => () => leave.current(), []);
  const onKeyDown = (event: KeyboardEvent): void => {
    const { key } = event;
    if (key === "Escape" && (typed !== "" || onLeave !== undefined)) {
      setTyped("");
      send("");
    } else if (key === "Enter" || (key === "ArrowDown" && onLeave !== undefined)) {
      const { value } = event.currentTarget as HTMLInputElement;
      send(value);
      onEnter?.(value);
    } else {
      return;
    }
    event.preventDefault();
    onLeave?.();
  };
  return (
    <div class="nnw-find">
      <Icon name="search" class="nnw-dim" />
      <input
        ref={box}
        type="search"
        value={typed}
        placeholder={placeholder}
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
        onKeyDown={onKeyDown}
      />
      {children}
    </div>
  );
}
