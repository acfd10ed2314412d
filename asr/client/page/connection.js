// The way to the server: it reconnects by itself and asks only for what the page lacks.

const FIRST_S = 0.5, LONGEST_S = 8;
const SILENT_S = 40;          // the server says something every 15 s: after so long without, it is cut off, which no socket tells

export class Connection extends EventTarget {
  #last = 0;                  // number of the newest final that came
  #session = null;
  #tries = 0;
  #ended = false;
  #timer = null;
  #watch = null;
  #settings;

  constructor(settings) {
    super();
    this.#settings = settings;
    this.state = "connecting";                 // live, lost (trying again), ended (waiting for another session), refused (for good)
    window.addEventListener("online", () => this.#hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.#hurry());
  }

  open() {
    const query = this.#settings.query(this.#session ? { session: this.#session, after: this.#last } : {});
    const socket = new WebSocket(`ws://${location.host}/captions${query}`);
    this.#listen(socket);
    socket.onmessage = (event) => {
      this.#listen(socket);
      this.#take(JSON.parse(event.data));
    };
    socket.onclose = () => this.#again();
  }

  // Give the socket up, not waiting for its farewell, when nothing comes for long.
  #listen(socket) {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      socket.onmessage = socket.onclose = null;
      socket.close();
      this.#again();
    }, 1000 * SILENT_S);
  }

  #take(message) {
    if (message.type === "hello") {
      message.first = this.#session === null;
      message.other = !message.first && message.session !== this.#session;
      if (message.other) this.#last = 0;
      this.#session = message.session;
      this.#tries = 0;
      this.#ended = false;
      this.#become("live");
    } else if (message.type === "finals") {
      this.#last = message.finals.at(-1).number;
    } else if (message.type === "ended") {
      this.#ended = true;
    }
    this.dispatchEvent(new CustomEvent(message.type, { detail: message }));
  }

  // Wait twice as long each time, and not all viewers for equally long.
  #again() {
    clearTimeout(this.#watch);
    this.#become(this.#ended ? "ended" : "lost");
    const wait_s = Math.min(LONGEST_S, FIRST_S * 2 ** this.#tries++) * (0.75 + Math.random() / 2);
    this.#timer = setTimeout(() => this.#retry(), 1000 * wait_s);
  }

  async #retry() {
    this.#timer = null;
    try {                     // a socket does not say why it was refused, a request does
      const answer = await fetch(`/${this.#settings.query()}`, { method: "HEAD" });
      if (answer.status === 403) return this.#become("refused");
    } catch {
      return this.#again();
    }
    return this.open();
  }

  #hurry() {
    if (this.#timer === null) return;
    clearTimeout(this.#timer);
    this.#tries = 0;
    this.#retry();
  }

  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
