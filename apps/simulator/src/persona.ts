import type { CompletionRequest, WireMessage } from './request.js';
import { sinceLastUser, textOf } from './request.js';
import type { Step } from './script.js';

/**
 * The default reply: short, deterministic, and visibly made from the prompt (persona, history, recalled memories, tools),
 * so that a demo or a test can see whether the platform passed them on. It names itself a simulation.
 */
export function personaReply(request: CompletionRequest): Step {
  const { user, rounds } = sinceLastUser(request.messages);
  const result = rounds.findLast((each) => each.role === 'tool');
  if (result) return { text: afterTool(request, rounds, result) };

  const tools = new Set((request.tools ?? []).map((tool) => tool.function.name));
  const wish = wishOf(user);
  if (wish) {
    if (tools.has(wish.name)) return { toolCall: { name: wish.name, arguments: wish.arguments } };
    return { text: `${introduction(request)} I have no ${wish.name} tool here, so I cannot do that.` };
  }
  if (asksForOwnName(user)) {
    const name = userName(request.messages);
    if (name) return { text: `Your name is ${name}.` };
    if (tools.has('memory_search')) return { toolCall: { name: 'memory_search', arguments: { query: 'my name' } } };
    return { text: 'I do not know your name yet. Tell me, and I will use it.' };
  }
  if (/\bwhat (?:did|have) i (?:just )?(?:say|said|tell|told)\b/i.test(user))
    return { text: whatWasSaid(request, user) };
  return { text: smallTalk(request, user) };
}

interface Wish {
  name: string;
  arguments: Record<string, string>;
}

function wishOf(user: string): Wish | undefined {
  const write =
    /\bwrite (?:a |the |to )?(?:new )?file (?:named |called )?[`"']?([^\s`"']+)[`"']? (?:with|containing|saying)(?: the)?(?: (?:content|contents|text))?:?\s+([\s\S]+)/i.exec(
      user,
    );
  if (write) return { name: 'write_file', arguments: { path: write[1] ?? '', content: unquoted(write[2] ?? '') } };
  const read = /\bread (?:me )?(?:the |my )?file (?:named |called )?[`"']?([^\s`"'?]+)/i.exec(user);
  if (read) return { name: 'read_file', arguments: { path: withoutFullStop(read[1] ?? '') } };
  const list = /\b(?:list|show)(?: me)?(?: all)?(?: the| my| your)? files(?: (?:in|under) [`"']?([^\s`"'?]+))?/i.exec(
    user,
  );
  if (list) return { name: 'list_files', arguments: list[1] ? { path: withoutFullStop(list[1]) } : {} };
  const search = /\bsearch (?:your |the )?memor(?:y|ies) for\s+(.+)/i.exec(user);
  if (search) return { name: 'memory_search', arguments: { query: unquoted(search[1] ?? '') } };
  const remember = /(?:^|[.!,;\n]\s*|\bplease )remember (?:that |this: ?|: ?)?([\s\S]+)/i.exec(user);
  if (remember && !user.trimEnd().endsWith('?'))
    return { name: 'remember', arguments: { text: unquoted(remember[1] ?? '') } };
  return undefined;
}

function afterTool(request: CompletionRequest, rounds: readonly WireMessage[], result: WireMessage): string {
  const call = rounds.flatMap((each) => each.tool_calls ?? []).find((each) => each.id === result.tool_call_id);
  const said = short(textOf(result), 2_000);
  const argument = argumentsOf(call?.function.arguments);
  switch (call?.function.name) {
    case 'remember':
      return `I will remember: ${argument['text'] ?? said}`;
    case 'write_file':
      return `I wrote ${argument['path'] ?? 'the file'}. ${said}`;
    case 'read_file':
      return `${argument['path'] ?? 'The file'} says:\n${said}`;
    case 'list_files':
      return `The files are:\n${said}`;
    case 'memory_search': {
      const name = asksForOwnName(sinceLastUser(request.messages).user) ? userName([...request.messages]) : undefined;
      return name ? `Your name is ${name}.` : `My memory says: ${said}`;
    }
    default:
      return `The tool answered: ${said}`;
  }
}

function argumentsOf(json: string | undefined): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(json ?? '{}');
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function smallTalk(request: CompletionRequest, user: string): string {
  const said = request.messages.filter((each) => each.role === 'user').length;
  const name = userName(request.messages);
  const greeting = name ? `Hello ${name}. ` : '';
  const place = said > 1 ? ` This is message ${said} of our conversation.` : '';
  return `${greeting}${introduction(request)} You said: "${short(user.trim(), 200)}".${place}`;
}

function introduction(request: CompletionRequest): string {
  const name = agentName(request.messages);
  return name ? `I am ${name}, speaking through a simulation.` : 'This is a simulation of a model.';
}

function whatWasSaid(request: CompletionRequest, user: string): string {
  const earlier = request.messages
    .filter((each) => each.role === 'user')
    .map(textOf)
    .slice(0, -1);
  const topic = /\babout (?:the |my |a )?([\p{L}\p{N}-]+)/iu.exec(user)?.[1]?.toLowerCase();
  const found = topic ? earlier.findLast((each) => each.toLowerCase().includes(topic)) : earlier.at(-1);
  return found === undefined ? 'You have not said that to me before.' : `You said: "${short(found.trim(), 500)}".`;
}

function asksForOwnName(user: string): boolean {
  return (
    /\b(?:what(?:'s| is| was)|do you (?:know|remember)|tell me|who am i)\b.{0,20}\b(?:my name|i)\b/i.test(user) &&
    /\b(?:my name|who am i)\b/i.test(user)
  );
}

/** Newest first: what was said last about the user's name wins; the prompt's recalled memories come after the conversation. */
function userName(messages: readonly WireMessage[]): string | undefined {
  const stated =
    /\b(?:my name is|call me|(?:the )?user(?:'s|’s)? name is|(?:they are|user is) called) +["*_]*(\p{L}[\p{L}\p{M}'’-]*(?: \p{Lu}[\p{L}\p{M}'’-]*)*)/iu;
  const heard = messages.filter((each) => each.role === 'user' || each.role === 'tool').toReversed();
  const prompt = messages.filter((each) => each.role === 'system' || each.role === 'developer');
  for (const message of [...heard, ...prompt]) {
    const match = stated.exec(textOf(message));
    if (match?.[1]) return properName(match[1]);
  }
  return undefined;
}

/** The pattern ignores case, so "my name is ada and …" gives more than the name: keep the first word and the capitalised ones after it. */
function properName(words: string): string {
  const [first = '', ...rest] = words.split(' ');
  const end = rest.findIndex((word) => !/^\p{Lu}/u.test(word));
  return [first, ...(end === -1 ? rest : rest.slice(0, end))].join(' ');
}

/** The agent's name as IDENTITY.md or SOUL.md gives it. USER.md has a "Name:" too, which is somebody else's. */
function agentName(messages: readonly WireMessage[]): string | undefined {
  const prompt = messages
    .filter((each) => each.role === 'system' || each.role === 'developer')
    .map(textOf)
    .join('\n');
  const identity = fileSection(prompt, 'IDENTITY.md');
  const soul = fileSection(prompt, 'SOUL.md');
  const beforeFiles = prompt.split(/^#{1,3} (?:\S*\/)?[A-Z]+\.md\b/m, 1)[0];
  for (const text of [identity, soul, beforeFiles]) {
    if (text === undefined) continue;
    const labelled = /^[ \t>*-]*name[ \t*]*:[ \t*_]*(\p{L}[^\n*_]*)/imu.exec(text)?.[1];
    const spoken = /\b(?:[Yy]our name is|[Yy]ou are|I am|I'm) (?:called )?(\p{Lu}[\p{L}'’-]*)/u.exec(text)?.[1];
    const name = labelled ?? spoken;
    if (name) return name.trim();
  }
  return undefined;
}

/**
 * The text from the heading that begins with the file's name to the next heading of another file. A workspace file may repeat
 * its own name as its title, as OpenClaw's templates do.
 */
function fileSection(prompt: string, file: string): string | undefined {
  const headings = [...prompt.matchAll(/^#{1,3} (?:\S*\/)?([A-Z]+\.md)\b.*$/gm)];
  const first = headings.findIndex((heading) => heading[1] === file);
  const next = headings.find((heading, at) => at > first && heading[1] !== file);
  return first === -1 ? undefined : prompt.slice(headings[first]?.index, next?.index);
}

function short(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax)}…`;
}

function unquoted(text: string): string {
  const trimmed = text.trim();
  return /^(["'`])[\s\S]*\1$/.test(trimmed) && trimmed.length > 1 ? trimmed.slice(1, -1) : trimmed;
}

function withoutFullStop(path: string): string {
  return path.replace(/[.,;!]+$/, '');
}
