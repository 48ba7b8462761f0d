interface LogLine {
  readonly level?: unknown;
  readonly msg?: unknown;
  readonly err?: { readonly message?: unknown; readonly code?: unknown };
}

/** The end of a service's log for people: why it gave up, if it says so; else every line, in plain words. */
export function readable(lastWords: string): string {
  const lines = lastWords.split('\n').map((text) => ({ text, log: parse(text) }));
  const fatal = lines.findLast(({ log }) => log?.level === 'fatal')?.log;
  if (fatal !== undefined) return reasonOf(fatal) ?? String(fatal.msg ?? 'no reason given');
  return lines.map(({ text, log }) => (log === undefined ? text : sentence(log))).join('\n');
}

function sentence(log: LogLine): string {
  return [log.level, log.msg, reasonOf(log)].filter((part) => typeof part === 'string' && part !== '').join(': ');
}

/** An error of several attempts to connect has a code and no message. */
function reasonOf({ err }: LogLine): string | undefined {
  return [err?.message, err?.code].find((text) => typeof text === 'string' && text !== '') as string | undefined;
}

function parse(line: string): LogLine | undefined {
  try {
    return line.startsWith('{') ? (JSON.parse(line) as LogLine) : undefined;
  } catch {
    return undefined; // Cut off, or not ours.
  }
}
