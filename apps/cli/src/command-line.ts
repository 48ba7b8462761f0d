import { parseArgs } from 'node:util';

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const heights = ['unit', 'int', 'e2e'] as const;
export type Height = (typeof heights)[number];

export type Command =
  | { readonly name: 'help' }
  | { readonly name: 'up'; readonly detach: boolean; readonly fresh: boolean; readonly json: boolean }
  | { readonly name: 'down' }
  | { readonly name: 'status'; readonly json: boolean }
  | { readonly name: 'logs'; readonly service: string | undefined; readonly follow: boolean }
  | { readonly name: 'doctor' }
  | { readonly name: 'chat'; readonly agent: string | undefined; readonly message: string }
  | { readonly name: 'test'; readonly heights: readonly Height[] }
  | { readonly name: 'replay'; readonly service: string | undefined; readonly check: boolean; readonly json: boolean }
  | { readonly name: 'bench'; readonly bench: string | undefined; readonly json: boolean };

type OptionTypes = Readonly<Record<string, 'boolean' | 'string'>>;

interface Parsed {
  flag(name: string): boolean;
  text(name: string): string | undefined;
  readonly words: readonly string[];
}

const commands: Readonly<
  Record<Command['name'], { options: OptionTypes; wordsMax: number; read: (parsed: Parsed) => Command }>
> = {
  help: { options: {}, wordsMax: 1, read: () => ({ name: 'help' }) },
  up: {
    options: { detach: 'boolean', fresh: 'boolean', json: 'boolean' },
    wordsMax: 0,
    read: ({ flag }) => ({ name: 'up', detach: flag('detach'), fresh: flag('fresh'), json: flag('json') }),
  },
  down: { options: {}, wordsMax: 0, read: () => ({ name: 'down' }) },
  status: { options: { json: 'boolean' }, wordsMax: 0, read: ({ flag }) => ({ name: 'status', json: flag('json') }) },
  logs: {
    options: { follow: 'boolean' },
    wordsMax: 1,
    read: ({ words, flag }) => ({ name: 'logs', service: words[0], follow: flag('follow') }),
  },
  doctor: { options: {}, wordsMax: 0, read: () => ({ name: 'doctor' }) },
  chat: {
    options: { agent: 'string' },
    wordsMax: Infinity,
    read: ({ words, text }) => {
      const message = words.join(' ').trim();
      if (message === '') throw new UsageError('say something: ./reef chat "Hello"');
      return { name: 'chat', agent: text('agent'), message };
    },
  },
  test: {
    options: {},
    wordsMax: 1,
    read: ({ words: [height] }) => {
      if (height === undefined) return { name: 'test', heights };
      const known = heights.find((one) => one === height);
      if (known === undefined) throw new UsageError(`"${height}" is none of ${heights.join(', ')}`);
      return { name: 'test', heights: [known] };
    },
  },
  replay: {
    options: { service: 'string', check: 'boolean', json: 'boolean' },
    wordsMax: 0,
    read: ({ text, flag }) => ({
      name: 'replay',
      service: text('service'),
      check: flag('check'),
      json: flag('json'),
    }),
  },
  bench: {
    options: { json: 'boolean' },
    wordsMax: 1,
    read: ({ words, flag }) => ({ name: 'bench', bench: words[0], json: flag('json') }),
  },
};

/** What the person asked for. Throws a UsageError that names the first thing that is wrong. */
export function parseCommand(words: readonly string[]): Command {
  const [name = 'help', ...rest] = words;
  if (name === '--help' || name === '-h' || rest.includes('--help')) return { name: 'help' };
  const command = Object.hasOwn(commands, name) ? commands[name as Command['name']] : undefined;
  if (command === undefined) {
    throw new UsageError(`there is no command "${name}"; ./reef help lists them`);
  }
  const { values, positionals } = parse(name, rest, command.options);
  if (positionals.length > command.wordsMax) {
    throw new UsageError(
      `"${positionals[command.wordsMax]}" is one word too many for ${name}; ./reef help shows its form`,
    );
  }
  return command.read({
    flag: (option) => values[option] === true,
    text: (option) => (typeof values[option] === 'string' ? values[option] : undefined),
    words: positionals,
  });
}

function parse(name: string, args: readonly string[], options: OptionTypes) {
  try {
    return parseArgs({
      args: [...args],
      options: Object.fromEntries(Object.entries(options).map(([option, type]) => [option, { type }])),
      allowPositionals: true,
      strict: true,
    });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!code.startsWith('ERR_PARSE_ARGS')) throw error;
    const sentence = (error as Error).message.split('. ')[0];
    throw new UsageError(`${name}: ${sentence}; ./reef help lists the options`);
  }
}
