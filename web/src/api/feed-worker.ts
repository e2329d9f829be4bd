import { Feed, type FeedMessage } from "./feed";

// One stream for all tabs: over HTTP/1.1 a browser opens six connections to a server, and each stream would hold one.
const ports = new Set<MessagePort>();
const feed = new Feed((message: FeedMessage) => {
  for (const port of ports) port.postMessage(message);
});
let running = false;

(self as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0]!;
  ports.add(port);
  port.onmessage = (message: MessageEvent<"retry" | "close">) => {
    if (message.data === "close") ports.delete(port);
    else feed.retry();
  };
  port.postMessage(feed.snapshot);
  if (!running) {
    running = true;
    void feed.run();
  }
};
