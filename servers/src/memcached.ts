import { connect } from "node:net";
import { type Running, type Server, startServer } from "./start-server.ts";

/** Starts one memcached: TCP only, 64 MB. */
export function startMemcached(): Promise<Server> {
  return startServer({
    name: "memcached",
    program: "memcached",
    user: "nobody",
    // It keeps nothing, and takes a second to end in order.
    shutDownSignal: "SIGKILL",
    args: (port) => ["-l", "127.0.0.1", "-p", `${port}`, "-U", "0", "-m", "64"],
    isReady,
    url: (port) => `memcached://127.0.0.1:${port}`,
  });
}

/** It has no client program, but its protocol is lines of text. */
function isReady({ port, pid }: Running): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write("stats\r\nquit\r\n"));
    let reply = "";
    socket.setEncoding("utf8").setTimeout(1_000, () => socket.destroy());
    socket.on("data", (text: string) => (reply += text));
    socket.on("error", () => {});
    socket.on("close", () => resolve(reply.includes(`STAT pid ${pid}\r\n`)));
  });
}
