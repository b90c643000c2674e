// Scans that wait for their answer, two of them under way at a time: while one is analysed the next is uploaded.

const AT_ONCE = 2;
const PATIENCE = 30; // tries while the server is busy
const BROKEN = 3; // times that a connection may break over one scan

export class Queue {
  // `work(entry, {signal, retries})` asks for one; `onChange(entry)` is called whenever one changes its state.
  constructor(work, onChange) {
    Object.assign(this, { work, onChange, waiting: [], running: new Map(), paused: false });
  }

  get busy() {
    return this.running.size + this.waiting.length > 0;
  }

  add(entries) {
    for (const entry of entries) {
      Object.assign(entry, { state: "waiting", code: null, message: "" });
      this.waiting.push(entry);
      this.onChange(entry);
    }
    this.go();
  }

  // Goes on, after a connection that broke too.
  go() {
    this.paused = false;
    while (this.running.size < AT_ONCE && this.waiting.length) this.run(this.waiting.shift());
  }

  stop() {
    for (const entry of this.waiting.splice(0)) this.fail(entry, { code: "cancelled", message: "" });
    for (const controller of this.running.values()) controller.abort();
  }

  fail(entry, { code, message }) {
    Object.assign(entry, { state: "failed", code: code ?? "internal_error", message });
    this.onChange(entry);
  }

  async run(entry) {
    const controller = new AbortController();
    this.running.set(entry, controller);
    entry.state = "running";
    this.onChange(entry);
    try {
      await this.work(entry, { signal: controller.signal, retries: PATIENCE });
      entry.state = "done";
      this.onChange(entry);
    } catch (error) {
      entry.broken = (entry.broken ?? 0) + (error.code === "offline");
      if (error.code === "offline" && entry.broken < BROKEN) {
        Object.assign(entry, { state: "waiting" });
        this.waiting.unshift(entry);
        this.paused = true; // until go() is called
        this.onChange(entry, error);
      } else this.fail(entry, error);
      if (!error.code) reportError(error);
    } finally {
      this.running.delete(entry);
      if (!this.paused) this.go();
    }
  }
}
