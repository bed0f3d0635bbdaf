/** A body that a framework pipes from a Node stream. */
import type { PassThrough } from "node:stream";
import type { BodyStream } from "./app.ts";

/** Writes as a careful program does: waits for `drain` when told to. */
export function streamOf(stream: PassThrough): BodyStream {
  return {
    async write(chunk) {
      if (stream.write(chunk)) return;
      await new Promise<void>((resolve) => {
        stream.once("drain", resolve);
        stream.once("close", resolve);
      });
    },
    end(chunk) {
      stream.end(chunk);
    },
  };
}
