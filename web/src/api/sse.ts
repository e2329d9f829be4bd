/** One message of a server-sent stream. */
export interface Message {
  id: string;
  data: string;
}

/** Takes a stream of text apart, wherever its pieces were cut. Lines end as our server ends them, with a newline. */
export class SseParser {
  #rest = "";
  #id = "";
  #data: string[] = [];

  /** Takes the next piece and returns the messages that are complete now. */
  push(piece: string): Message[] {
    const lines = (this.#rest + piece).split("\n");
    this.#rest = lines.pop() ?? "";
    const found: Message[] = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length) found.push({ id: this.#id, data: this.#data.join("\n") });
        this.#data = [];
      } else if (line.startsWith("data:")) this.#data.push(line.slice(5).replace(/^ /, ""));
      else if (line.startsWith("id:")) this.#id = line.slice(3).trim();
    }
    return found;
  }
}
