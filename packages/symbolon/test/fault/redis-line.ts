/** A line to a server that a test can cut, block, or lead to another server. */
import { connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** One line; all connections to its port go through it. */
export interface Line {
  readonly url: string;
  /** The next answers are thrown away, and their connection ends: the server did the work, and nobody knows. */
  loseNextAnswer(): void;
  /** Nothing goes through any more, either way, and no connection ends. */
  block(): void;
  /** New connections go to another port, as when a name is given to another server; those there are stay. */
  leadTo(port: number): void;
}

/** A line to a port, for one test. */
export async function lineTo(first: number): Promise<Line> {
  let port = first;
  let losing = false;
  let blocked = false;
  const sockets: Socket[] = [];
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    sockets.push(near, far);
    near.on("data", (bytes) => void (blocked || far.write(bytes)));
    far.on("data", (bytes) => {
      if (blocked) return;
      if (losing) near.destroy();
      else near.write(bytes);
      losing = false;
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    for (const socket of [near, far]) socket.on("error", () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    url: `redis://127.0.0.1:${address.port}`,
    loseNextAnswer: () => void (losing = true),
    block: () => void (blocked = true),
    leadTo: (next) => void (port = next),
  };
}
