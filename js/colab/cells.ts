import type { Kernel, KernelMessage } from "@jupyterlab/services";

export interface Output {
  readonly data: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, unknown>>;
}

/** Shows, in order, each output of a request to run a cell as it comes; gives the kernel's reply at its end. */
export async function follow(
  future: Kernel.IShellFuture<KernelMessage.IExecuteRequestMsg, KernelMessage.IExecuteReplyMsg>,
  show: (output: Output) => void,
): Promise<KernelMessage.IExecuteReplyMsg["content"]> {
  const text = (text: string): void => show({ data: { "text/plain": text }, metadata: {} });
  future.onIOPub = ({ content, header }) => {
    if (header.msg_type === "display_data" || header.msg_type === "execute_result") {
      const { data, metadata } = content as unknown as Output;
      show({ data, metadata });
    } else if (header.msg_type === "stream" && "text" in content) {
      text(String(content.text));
    } else if (header.msg_type === "error" && "traceback" in content) {
      text((content.traceback as string[]).join("\n"));
    }
  };
  return ((await future.done) as KernelMessage.IExecuteReplyMsg).content;
}

/** Evaluates expressions in the kernel after `code`, in no cell. */
export async function ask(
  kernel: Kernel.IKernelConnection,
  code: string,
  expressions: Record<string, string>,
): Promise<unknown> {
  const options = { code, user_expressions: expressions, store_history: false, stop_on_error: false };
  return (await kernel.requestExecute(options).done).content;
}
