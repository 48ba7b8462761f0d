/** Characters of one event; more is not an answer. */
export const EVENT_CHARACTERS_MAX = 2_000_000;

/**
 * Reads server-sent events from pieces of text, cut anywhere (HTML standard, 9.2.6). Only the data is kept: names, ids and
 * comments mean nothing to a model call. An event without the blank line that ends it is none.
 */
export class EventReader {
  #rest = '';
  /** Up to here the rest holds no end of a line. */
  #searched = 0;
  #data: string | null = null;
  #afterReturn = false;
  #begun = false;

  constructor(private readonly onData: (data: string) => void) {}

  /** @returns false when an event is too long; nothing may follow. */
  push(piece: string): boolean {
    if (piece === '') return true;
    this.#rest += this.#withPlainLineEnds(piece);
    let start = 0;
    for (let end; (end = this.#rest.indexOf('\n', Math.max(start, this.#searched))) !== -1; start = end + 1) {
      if (!this.#take(this.#rest.slice(start, end))) return false;
    }
    this.#rest = this.#rest.slice(start);
    this.#searched = this.#rest.length;
    return this.#rest.length <= EVENT_CHARACTERS_MAX;
  }

  /** A line ends with CR LF, LF or CR, and a piece may end between the two. */
  #withPlainLineEnds(piece: string): string {
    let text = piece;
    if (!this.#begun && text.startsWith('\uFEFF')) text = text.slice(1);
    this.#begun = true;
    if (this.#afterReturn && text.startsWith('\n')) text = text.slice(1);
    this.#afterReturn = text.endsWith('\r');
    return text.includes('\r') ? text.replace(/\r\n?/g, '\n') : text;
  }

  #take(line: string): boolean {
    if (line === '') {
      const data = this.#data;
      this.#data = null;
      if (data !== null) this.onData(data);
      return true;
    }
    if (!line.startsWith('data')) return true;
    if (line.length > 4 && line[4] !== ':') return true;
    const value = line.slice(line[5] === ' ' ? 6 : 5);
    this.#data = this.#data === null ? value : `${this.#data}\n${value}`;
    return this.#data.length <= EVENT_CHARACTERS_MAX;
  }
}
