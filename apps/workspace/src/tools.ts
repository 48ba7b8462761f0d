import { z } from 'zod';
import { cutText, textOf } from './text.js';
import { FILE_BYTES_MAX, TOOL_ANSWER_CHARACTERS_MAX, TOOL_LIST_FILES_MAX } from './limits.js';

const path = z.string().min(1).max(4_096);

/** The file tools an agent has. What a model sends is checked against these; a fault is told to the model, which may try again. */
export const fileTools = {
  /** Lines count from 1. */
  read_file: z.strictObject({
    path,
    offset: z.int().min(1).optional(),
    limit: z.int().min(1).max(100_000).optional(),
  }),
  write_file: z.strictObject({ path, content: z.string() }),
  list_files: z.strictObject({ prefix: z.string().max(4_096).optional() }),
};

export type ToolCall = {
  [Name in keyof typeof fileTools]: { name: Name; input: z.output<(typeof fileTools)[Name]> };
}[keyof typeof fileTools];
export type ToolAnswer = { content: string; isError: boolean };

export const failed = (content: string): ToolAnswer => ({ content, isError: true });
const done = (content: string): ToolAnswer => ({ content, isError: false });

export const isTool = (name: string): name is ToolCall['name'] => Object.hasOwn(fileTools, name);

/** The call, or what is wrong with its arguments. */
export function parseCall(name: ToolCall['name'], argumentsJson: string): ToolCall | ToolAnswer {
  let json: unknown;
  try {
    json = JSON.parse(argumentsJson);
  } catch {
    return failed('The arguments are not JSON.');
  }
  const parsed = fileTools[name].safeParse(json);
  if (parsed.success) return { name, input: parsed.data } as ToolCall;
  const faults = parsed.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join('.') || 'arguments'}: ${issue.message}`);
  return failed(`The arguments do not fit: ${faults.join('; ')}`);
}

/** A part of a text file by lines, or word that it has none. */
export function readAnswer(
  bytes: Buffer,
  { offset = 1, limit }: { offset?: number | undefined; limit?: number | undefined },
): ToolAnswer {
  const text = textOf(bytes);
  if (text === null) return failed(`The file is not text (${bytes.length} bytes).`);
  const lines = text.split('\n');
  if (offset > lines.length) return failed(`The file has ${lines.length} lines.`);
  const wanted = lines.slice(offset - 1, limit === undefined ? undefined : offset - 1 + limit);
  let [characters, taken] = [0, 0];
  // Room is left for the sentence that says how to go on.
  const room = TOOL_ANSWER_CHARACTERS_MAX - 200;
  while (taken < wanted.length && characters + (wanted[taken]?.length ?? 0) + 1 <= room) {
    characters += (wanted[taken]?.length ?? 0) + 1;
    taken++;
  }
  const next = offset + taken;
  if (taken === 0)
    return done(
      `${cutText(wanted[0] ?? '', room)}\n[Line ${offset} is longer than an answer may be; the rest of it is left out.]`,
    );
  const part = wanted.slice(0, taken).join('\n');
  return done(next <= lines.length ? `${part}\n[${lines.length} lines in all; go on with offset ${next}.]` : part);
}

/** One line a file, as many as an answer may hold. */
export function listAnswer(files: readonly { path: string; bytes: number }[]): ToolAnswer {
  if (files.length === 0) return done('There are no files here.');
  const lines: string[] = [];
  let characters = 0;
  for (const { path: name, bytes } of files.slice(0, TOOL_LIST_FILES_MAX)) {
    const line = `${name} (${bytes} bytes)`;
    characters += line.length + 1;
    if (characters > TOOL_ANSWER_CHARACTERS_MAX - 200) break;
    lines.push(line);
  }
  if (lines.length < files.length) lines.push('[There are more; list again with a longer prefix.]');
  return done(lines.join('\n'));
}

/** What a refusal means to a model, in a sentence without the path it sent. */
export function refusedAnswer({ code, message }: { code: string; message: string }): ToolAnswer {
  switch (code) {
    case 'path_refused':
      return failed(
        `This path cannot be used: ${message}. Use a path relative to your folder, such as notes/today.md.`,
      );
    case 'file_not_found':
    case 'agent_unknown':
      return failed('There is no such file.');
    case 'not_a_file':
      return failed(`This is not a file: ${message}.`);
    case 'quota_exceeded':
      return failed(`There is no room for this: ${message}.`);
    case 'too_large':
      return failed(`This is too large: a file may have ${FILE_BYTES_MAX} bytes.`);
    default:
      return failed(message);
  }
}
