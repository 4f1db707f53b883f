// Runs what docs/extensions.md shows against a kernel at the other end of a pipe: code goes out, outputs come back.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const { ask } = await import(pathToFileURL(process.argv[2]).href);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const kernel = {
  async *executeCode(code) {
    say({ execute: code });
    for (const { mime, text } of JSON.parse((await lines.next()).value)) {
      yield { items: [{ mime, data: new TextEncoder().encode(text) }] };
    }
  },
};

for (const [kind, body] of JSON.parse(process.argv[3])) {
  await ask(kernel, kind, body, null).then(
    (reply) => say({ reply }),
    (error) => say({ thrown: error.message }),
  );
}
process.stdin.destroy();
