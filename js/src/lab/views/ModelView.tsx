import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "../../i18n/translate.ts";
import { type PageError, toPageError } from "../../lib/errors.ts";
import { ChannelClient } from "../../protocol/client.ts";
import type { OpenReply } from "../../protocol/messages.ts";
import { App } from "../../views/App.tsx";
import type { Shown } from "../activeModel.ts";
import { CommChannel } from "../channel.ts";
import type { Settings } from "../settings.ts";
import { Message } from "./Message.tsx";

interface Opened {
  readonly client: ChannelClient;
  readonly first: OpenReply;
  readonly seen: string;
}

interface ModelViewProps {
  readonly shown: Shown;
  readonly settings: Settings;
}

const NARROW = 640;
/** In a narrow panel the tree takes this share, so that the inspector below it is in sight. */
const TREE_SHARE = 0.42;
/** What the Explorer itself sets aside below a narrow tree. */
const SET_ASIDE = 200;

/** The Explorer of one model, over a comm of its own, for as long as it is on view. */
export function ModelView({ shown: { connection, variable }, settings }: ModelViewProps) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const [error, setError] = useState<PageError | null>(null);
  const [nTries, setTries] = useState(0);
  const [selected, setSelected] = useState("");
  const [filter, setFilter] = useState("");
  const frame = useRef<HTMLDivElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });

  useEffect(() => {
    if (connection.isOver) {
      return undefined;
    }
    setError(null);
    const channel = new CommChannel(connection.kernel, { model: variable.name });
    const client = new ChannelClient(channel);
    let isLeft = false;
    client.request("open", {}).then(
      ({ body }) => !isLeft && setOpened({ client, first: body, seen: new Date().toISOString() }),
      (error: unknown) => !isLeft && setError(toPageError(error)),
    );
    const stopWatching = connection.onEnd(() => {
      channel.lose();
      client.failWaiting();
    });
    return () => {
      isLeft = true;
      stopWatching();
      client.close();
      channel.close();
    };
  }, [connection, variable.name, nTries]);

  useLayoutEffect(() => {
    const element = frame.current;
    if (element === null) {
      return undefined;
    }
    const watch = new ResizeObserver(() => setSize({ width: element.clientWidth, height: element.clientHeight }));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);

  return (
    <div ref={frame} class="nnw-panel-model" style={{ "--nnw-panel-height": `${size.height - 1}px` }}>
      {opened !== null ? (
        <App
          client={opened.client}
          first={opened.first}
          seen={opened.seen}
          height={heightFor({ width: size.width, height: settings.height || size.height })}
          selected={selected}
          filter={filter}
          onSelected={setSelected}
          onFilter={setFilter}
          alive={!connection.isOver && opened.client.alive}
        />
      ) : error !== null ? (
        <Message
          words={{ title: error.message, text: error.hint, action: t("Try again"), isError: true }}
          onAction={() => setTries((count) => count + 1)}
        />
      ) : (
        <Message
          words={{ title: t("Reading {0}…", variable.name), text: "", isWaiting: true }}
          onAction={() => undefined}
        />
      )}
    </div>
  );
}

function heightFor({ width, height }: { readonly width: number; readonly height: number }): number | null {
  if (height === 0) {
    return null;
  }
  return width <= NARROW ? Math.round(height * TREE_SHARE) + SET_ASIDE : height;
}
