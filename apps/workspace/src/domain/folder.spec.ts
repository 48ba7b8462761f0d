import { describe, expect, test } from '@jest/globals';
import { fold, isRefusal } from '@reef/eventing/pure';
import { folder, type Folder, type FolderCommand, type FolderEvent, type NewFile, type Room } from './folder.js';

const at = '2026-11-22T10:00:00.000Z';
const plenty: Room = { bytes: 1_000_000, files: 100 };
const sha = (digit: string) => digit.repeat(64);
const file = (path: string, bytes = 10, sha256 = sha('a')): NewFile => ({ path, bytes, sha256 });
const write = (path: string, bytes = 10, room = plenty): FolderCommand => ({
  type: 'write',
  data: { file: file(path, bytes), by: 'person', room, at },
});
const open = (...paths: string[]): FolderCommand => ({
  type: 'open',
  data: { agent: 'main', files: paths.map((path) => file(path)), room: plenty, at },
});
const importing = (files: NewFile[], room = plenty): FolderCommand => ({
  type: 'import',
  data: { agent: 'main', files, room, at },
});
const remove = (path: string): FolderCommand => ({ type: 'delete', data: { path, at } });

function after(...commands: FolderCommand[]): Folder {
  return commands.reduce((state, command) => {
    const decision = folder.decide(command, state);
    if (isRefusal(decision)) throw new Error(decision.message);
    return fold(folder, state, decision);
  }, folder.initial);
}
const typesOf = (decision: ReturnType<typeof folder.decide>) =>
  isRefusal(decision) ? decision.code : (decision as readonly FolderEvent[]).map(({ type }) => type);

describe('a folder', () => {
  test('opens once, with the files every agent begins with', () => {
    const opened = after(open('main/AGENTS.md', 'main/SOUL.md'));
    expect(opened).toMatchObject({ isOpen: true, count: 2, bytes: 20 });
    expect(folder.decide(open('main/AGENTS.md'), opened)).toEqual([]);
  });

  test('that somebody wrote to before it opened keeps what they wrote', () => {
    const state = after(write('main/SOUL.md', 77), open('main/AGENTS.md', 'main/SOUL.md'));
    expect(state.files['main/SOUL.md']).toMatchObject({ bytes: 77 });
    expect(state).toMatchObject({ isOpen: true, count: 2, bytes: 87 });
  });

  test('leaves out a first file whose place a folder has taken', () => {
    const state = after(write('main/SOUL.md/verse.md'), open('main/AGENTS.md', 'main/SOUL.md'));
    expect(Object.keys(state.files).toSorted()).toEqual(['main/AGENTS.md', 'main/SOUL.md/verse.md']);
  });

  test('opens without files for a tenant whose quota is used up', () => {
    const command = open('main/AGENTS.md') as Extract<FolderCommand, { type: 'open' }>;
    const full = { ...command, data: { ...command.data, room: { bytes: 9, files: 1 } } };
    expect(typesOf(folder.decide(full, folder.initial))).toEqual(['WorkspaceOpened']);
  });

  test('counts bytes and files through writing, replacing and deleting', () => {
    const state = after(write('main/a', 100), write('main/b', 50), write('main/a', 30), remove('main/b'));
    expect(state).toMatchObject({ bytes: 30, count: 1, changes: 4 });
  });

  test('takes the last free byte and not one more', () => {
    expect(typesOf(folder.decide(write('main/a', 400, { bytes: 400, files: 1 }), folder.initial))).toEqual([
      'FileWritten',
    ]);
    expect(folder.decide(write('main/a', 401, { bytes: 400, files: 1 }), folder.initial)).toMatchObject({
      code: 'quota_exceeded',
      details: { bytesLeft: 400 },
    });
  });

  test('takes the last free file and not one more, while a replacement needs none', () => {
    const full = { bytes: 1_000, files: 0 };
    const state = after(write('main/a'));
    expect(typesOf(folder.decide(write('main/b', 1, full), state))).toBe('quota_exceeded');
    expect(typesOf(folder.decide(write('main/a', 20, full), state))).toEqual(['FileWritten']);
  });

  test('that is over its quota may still shrink', () => {
    const state = after(write('main/a', 500));
    expect(typesOf(folder.decide(write('main/a', 400, { bytes: -200, files: -3 }), state))).toEqual(['FileWritten']);
  });

  test('refuses a file where a folder stands, and below a file', () => {
    const state = after(write('main/notes/today.md'));
    expect(typesOf(folder.decide(write('main/notes'), state))).toBe('not_a_file');
    expect(typesOf(folder.decide(write('main/notes/today.md/x'), state))).toBe('not_a_file');
    expect(typesOf(folder.decide(write('main/notes-2'), state))).toEqual(['FileWritten']);
    expect(typesOf(folder.decide(write('main'), state))).toBe('not_a_file');
  });

  test('lets a name be a folder once the file of that name is gone', () => {
    const state = after(write('main/notes'), remove('main/notes'));
    expect(typesOf(folder.decide(write('main/notes/today.md'), state))).toEqual(['FileWritten']);
  });

  test('says of a deletion why there is nothing to delete', () => {
    const state = after(write('main/notes/today.md'));
    expect(typesOf(folder.decide(remove('main/notes'), state))).toBe('not_a_file');
    expect(typesOf(folder.decide(remove('main/other.md'), state))).toBe('file_not_found');
    expect(typesOf(folder.decide(remove('main/other.md'), folder.initial))).toBe('agent_unknown');
  });

  test('imports every file or none: the quota counts what is replaced', () => {
    const state = after(write('main/a', 100));
    const files = [file('main/a', 150), file('main/b', 50)];
    expect(typesOf(folder.decide(importing(files, { bytes: 100, files: 1 }), state))).toEqual(['WorkspaceImported']);
    expect(typesOf(folder.decide(importing(files, { bytes: 99, files: 1 }), state))).toBe('quota_exceeded');
    expect(typesOf(folder.decide(importing([file('main/a/b')]), state))).toBe('not_a_file');
    expect(typesOf(folder.decide(importing([file('main/x')]), after(write('main/x/y/z'))))).toBe('not_a_file');
  });

  test('imports ten thousand files in events that each fit into a message', () => {
    const files = Array.from({ length: 10_000 }, (_, n) => file(`main/${'long-folder-name/'.repeat(10)}${n}.md`));
    const decision = folder.decide(importing(files, { bytes: 1_000_000, files: 10_000 }), folder.initial);
    if (isRefusal(decision)) throw new Error(decision.message);
    expect(Math.max(...decision.map((event) => JSON.stringify(event).length))).toBeLessThan(500_000);
    expect(fold(folder, folder.initial, decision)).toMatchObject({ count: 10_000, bytes: 100_000 });
  });

  test('notes a tool call, and what it wrote with it', () => {
    const run = { agent: 'main', turnId: 'turn', toolCallId: 'call', name: 'write_file', failed: false };
    const runTool = (written: NewFile | null): FolderCommand => ({
      type: 'runTool',
      data: { run, written, room: plenty, at },
    });
    expect(typesOf(folder.decide(runTool(file('main/a')), folder.initial))).toEqual(['FileWritten', 'ToolRun']);
    expect(after(runTool(null))).toEqual(folder.initial);
  });
});
